"""What a model looks at: how much each input value speaks for the right answer, before and after compression.

Sundararajan et al.: "Axiomatic Attribution for Deep Networks" (integrated gradients), 2017, from an input of zeros,
which is the mean of normalised images. Where inputs are indices, such as tokens, there is no path between them: each is
set to zero in turn (Zeiler and Fergus: "Visualizing and Understanding Convolutional Networks", 2014). Both by captum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps.prune.importance.attribution import Evidence, as_tensor, asking_captum
from workbench.task.batch import Tree, batch_size, entering, feeds_of, how, like
from workbench.task.classes import Classes
from workbench.task.device import CPU

STEPS = 32
# Each costs a pass of the model.
MOST_INDICES = 512


def attribute_input(model: nn.Module, inputs: tuple[Tensor, ...], targets: Tree, classes: Classes | None) -> Tensor:
    """Return what the first input has to do with the evidence for the right answer, in its shape.

    Args:
        model: Attributed to by its twin.
        inputs: Of a few samples, each [n, ...].
        targets: Of these, [n, ...].
        classes: How they lie in the outputs, None where there are none.

    Raises:
        WorkbenchError: Captum cannot do it, or there are too many indices.
    """
    from captum.attr import FeatureAblation, IntegratedGradients  # slow to import

    shape, nothing = inputs[0].shape, torch.zeros_like(inputs[0])
    if feeds_of(model) and inputs[0].is_floating_point():
        # Rounding has no gradient: what the model gets is attributed to, bytes as the numbers that they are.
        nothing = entering(model, like(inputs, (nothing, *inputs[1:])))[0].float()
        given = entering(model, inputs)
        inputs = like(given, (given[0].float(), *given[1:]))
    evidence = Evidence(twin(model), how(inputs), classes)
    first, rest = inputs[0], (*inputs[1:], as_tensor(targets, batch_size(inputs), inputs[0].device))
    if not first.is_floating_point() and first[0].numel() > MOST_INDICES:
        raise WorkbenchError(
            f"each index takes a pass, so at most {MOST_INDICES} are attributed to; there are {first[0].numel()}"
        )
    with TURN, asking_captum():
        if first.is_floating_point():
            attributions = IntegratedGradients(evidence).attribute(
                first, nothing, additional_forward_args=rest, n_steps=STEPS, internal_batch_size=STEPS
            )
        else:
            attributions = FeatureAblation(evidence).attribute(first, additional_forward_args=rest)
    return _spread(torch.as_tensor(attributions).detach().float().to(CPU), shape)


def _spread(attributions: Tensor, shape: torch.Size) -> Tensor:
    """Return attributions to smaller or grey images over the pixels and channels that these were made of."""
    if attributions.shape == shape:
        return attributions
    large = F.interpolate(attributions, shape[2:]).expand(shape)
    return large * (attributions.numel() / large.numel())


def likeness(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two attributions, 1 for the same pattern; 0 where one is nothing."""
    pair = [value.flatten().double() for value in (one, other)]
    norms = [float(value.norm()) for value in pair]
    return float(pair[0] @ pair[1]) / (norms[0] * norms[1]) if all(norms) else 0.0
