"""What parts of a model may become, and what each choice damages and saves: what proposals are made of.

A choice is a strength of each method for one part, such as a layer with 40 % of its weights gone and the others on 3
bits. It is done alone, and its damage is how far the outputs move on a few validation samples: the Kullback-Leibler
divergence of the predicted classes, else the squared change relative to the outputs' variance. That is cheap, knows no
labels, and is not zero where no prediction flips, as a score is. Damages are added up, so they are a guess: the search
reports their rank correlation with what was measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.search.planner.judge import costs_of
from workbench.search.trials.trial import Trial, TrialContext, built
from workbench.steps.knapsack import choose
from workbench.task.batch import Tree, leaves

SAMPLES = 64  # that a damage is measured on

# For one part, a strength by the kind of the method; {} leaves it as it is.
Strengths = Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """What a part may become.

    Attributes:
        strengths: By the kind of the method.
        damage: How far the outputs move if nothing else is done.
        cost: Of the whole model with this alone, less its cost before.
    """

    strengths: Strengths
    damage: float
    cost: float


@dataclass(frozen=True)
class Parts:
    """Every part with its choices, the first of which leaves it as it is.

    Attributes:
        choices: By the name of the part.
        whole: Cost of the model as it is.
        sections: Part to the name of the section that it belongs to.
    """

    choices: Mapping[str, tuple[Choice, ...]]
    whole: float
    sections: Mapping[str, str]

    @property
    def least(self) -> float:
        """The cost with the cheapest choice of every part."""
        return self.whole + sum(min(choice.cost for choice in choices) for choices in self.choices.values())

    def within(self, limit: float, weights: Mapping[str, float]) -> dict[str, Choice]:
        """Return the choice of every part with which damages add up to least while costs add up to at most `limit`.

        Args:
            limit: Cost of the whole model; one that is too small gives the cheapest choice of every part.
            weights: Section to how much its damages count; 1 where nothing is said.
        """
        names = list(self.choices)
        costs = [
            [(choice.damage * weights.get(self.sections[name], 1.0), choice.cost) for choice in self.choices[name]]
            for name in names
        ]
        taken = choose(costs, max(limit, self.least) - self.whole)
        return {name: self.choices[name][number] for name, number in zip(names, taken, strict=True)}


def sections_of(names: Sequence[str], most: int = 5) -> dict[str, str]:
    """Return for each part the section it belongs to: the beginning of its name, while there are few such.

    Where names tell no sections apart, or too many, as many equal stretches are taken.
    """
    heads = {name: name.partition(".")[0] for name in names}
    if 1 < len(set(heads.values())) <= most:
        return heads
    stretches = min(most, len(names))
    return {name: f"part {place * stretches // len(names) + 1}" for place, name in enumerate(names)}


def worthwhile(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the choices that no other beats in damage at the same or a lower cost; the first one stays."""
    first, *rest = choices
    kept = [first]
    for choice in sorted(rest, key=lambda one: (one.damage, one.cost)):
        if math.isfinite(choice.damage) and choice.cost < min(one.cost for one in kept):
            kept.append(choice)
    return tuple(kept)


def damages(
    trial_context: TrialContext, trials: Sequence[Trial], quantity: str, samples: int = SAMPLES
) -> tuple[list[tuple[float, float]], float]:
    """Return (damage, cost) of each of some trials on the context's state, and the seconds that took.

    Where one cannot be done both are infinite.

    Args:
        trial_context: The state, and what runs models.
        trials: Steps each.
        quantity: Which cost.
        samples: How many validation samples are looked at.

    Raises:
        Cancelled: The context's progress was told to stop.
    """
    start = time.perf_counter()
    evaluator, progress = trial_context.evaluator, trial_context.context.progress.silent()
    context = replace(trial_context.context, progress=progress)
    total = trial_context.reference.total
    numbers = torch.linspace(0, total - 1, min(samples, total)).long()
    evaluator.anchor(trial_context.state)
    wanted, _ = evaluator.prepare(trial_context.state)(numbers)
    logits = trial_context.reference.metric.classes is not None
    found = []
    for trial in trials:
        progress.check()
        try:
            state, overlay = built(trial_context.state, trial, context)
            cost = costs_of(state, overlay, context, (quantity,))[quantity]
            outputs, _ = evaluator.prepare(state, overlay)(numbers)
            found.append((moved(wanted, outputs, logits), cost))
        except Cancelled:
            raise
        except WorkbenchError:
            found.append((math.inf, math.inf))
    return found, time.perf_counter() - start


def cost_before(trial_context: TrialContext, quantity: str) -> float:
    """Return a quantity of the context's state as it is."""
    return costs_of(trial_context.state, {}, trial_context.context, (quantity,))[quantity]


def moved(before: Tree, after: Tree, logits: bool) -> float:
    """Return how far outputs moved, at least 0; infinite where they are no numbers.

    Args:
        before: [n, ...], or a tree of such tensors.
        after: Likewise.
        logits: Whether two-dimensional outputs [n, C] are logits of classes.
    """
    found = 0.0
    for one, other in zip(leaves(before), leaves(after), strict=True):
        old, new = one.double(), other.double()
        if logits and old.ndim == 2 and old.shape[1] > 1:
            gap = F.kl_div(new.log_softmax(1), old.log_softmax(1), reduction="batchmean", log_target=True)
        else:
            gap = (new - old).square().mean() / _variance(old)
        found += float(gap)
    return max(found, 0.0) if math.isfinite(found) else math.inf


def _variance(values: Tensor) -> Tensor:
    return values.var(correction=0).clamp(min=1e-12)
