"""DeepLift: the difference that a channel makes against inputs of zero, carried back rule by rule.

Shrikumar, Greenside, Kundaje: "Learning Important Features Through Propagating Activation Differences", 2017; computed
by captum's `LayerDeepLift`. Its rules are hung on modules, so it is defined where every nonlinearity is a module that
is called once. Whether this is so is tried first: the attributions to the inputs have to add up.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph import Group
from workbench.jobs.turn import TURN
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.attribution import Attribution, Evidence, as_tensor, floating
from workbench.task.batch import batch_size
from workbench.task.device import device_of

TOLERANCE = 0.01
TRIED = 8


@register
class DeepLift(Attribution):
    kind = "deep_lift"
    position = 13
    title = "DeepLift (captum)"

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        floating(context.example(), self.title)
        _refuse_incomplete(model, context)
        return super().units(model, groups, context)

    def attribute(self, evidence: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        from captum.attr import LayerDeepLift  # slow to import

        attributed: Tensor = LayerDeepLift(evidence, layer).attribute(
            inputs, additional_forward_args=(targets,), attribute_to_layer_input=True
        )
        return attributed


def _refuse_incomplete(model: nn.Module, context: Context) -> None:
    """Raise an error if the attributions to the inputs do not add up to the difference in the outputs."""
    from captum.attr import DeepLift as CaptumDeepLift  # slow to import

    data, evidence = context.subject.task.split("calibration"), Evidence.of(model, context.subject.task)
    inputs, tree = data.batch(range(min(TRIED, len(data))))
    targets = as_tensor(tree, batch_size(inputs), device_of(model))
    with TURN, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", UserWarning)  # captum announces the hooks that it sets on the twin
        difference = evidence(*inputs, targets) - evidence(*(torch.zeros_like(value) for value in inputs), targets)
        try:
            with torch.enable_grad():
                attributed = CaptumDeepLift(evidence).attribute(inputs, additional_forward_args=(targets,))
            missed = sum(value.flatten(1).sum(1) for value in attributed) - difference
        except (RuntimeError, AssertionError):
            missed = torch.full_like(difference, torch.inf)
    if float(missed.abs().max()) > TOLERANCE * float(difference.abs().max()):
        raise WorkbenchError(
            "DeepLift is not defined on this model: its attributions do not add up, because a nonlinearity is a "
            "function or a module that is called twice; choose conductance"
        )
