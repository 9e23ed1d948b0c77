"""Search for a strength of each part's own under a budget, such as bits of each layer under a size.

What a scan found of single parts is added up: the sum of drops is made as small as the budget allows, exactly, as a
multiple-choice knapsack. Dong et al.: "HAWQ-V2", 2020, choose bits so, with a Hessian's trace where here is the
measured score. Parts may make up for each other or amplify each other, so the result is a proposal whose score has to
be measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from workbench.errors import WorkbenchError
from workbench.model.layers import Layer
from workbench.search.sensitivity import Table
from workbench.steps import Step
from workbench.steps.knapsack import choose

FULL = 32  # bits of what is not quantized

Cost = Callable[[str, float | None], float]


def file_bytes(table: Table, whole: int) -> Cost:
    """Return the bytes of a part, so that those of all parts add up to the file: an equal share, and what a step saves.

    Args:
        table: A scan, whose points know the file with only one part changed.
        whole: Bytes of the file that was scanned.
    """
    share = whole / len(table.targets)
    saved = {(point.target, point.strength): whole - point.bytes for point in table.points}
    return lambda target, strength: share - (0 if strength is None else saved[target, strength])


def bit_operations_of(step: Step, layers: Sequence[Layer]) -> Cost:
    """Return the bit operations of a layer, its MACs times the bits of both factors (Wang et al.: "HAQ", 2019).

    Args:
        step: Its strength counts bits of weights; a field `activations` those of what they are multiplied with.
        layers: Facts of the scanned model.

    Raises:
        WorkbenchError: The strength counts something else.
    """
    if not step.strength_counts_bits:
        raise WorkbenchError(f"a budget of bit operations is for steps whose strength counts bits, not {step.title}")
    macs, activations = {layer.name: layer.macs for layer in layers}, getattr(step, "activations", 0) or FULL
    return lambda target, bits: float(macs[target] * activations * (FULL if bits is None else bits))


def allocate(table: Table, cost: Cost, limit: float) -> dict[str, float]:
    """Return for each part the strength with which the drops add up to least, parts that stay as they are left out.

    A part's drop at a strength counts as no less than at the milder ones, which cost more: what looks otherwise is
    chance. Of choices with equal drops the milder one is taken.

    Args:
        table: A finished scan.
        cost: Of a part at a strength, or at None as it is.
        limit: What all parts may cost together.

    Raises:
        WorkbenchError: Even the cheapest choice of every part costs more; it says how much.
    """
    parts = [_choices(table, target, cost) for target in table.targets]
    taken = choose([[(drop, price) for _, drop, price in part] for part in parts], limit)
    strengths = {target: part[number][0] for target, part, number in zip(table.targets, parts, taken, strict=True)}
    return {target: strength for target, strength in strengths.items() if strength is not None}


def _choices(table: Table, target: str, cost: Cost) -> list[tuple[float | None, float, float]]:
    """Return (strength, drop, cost) of what a part can be, the dearest first."""
    points = [point for strength in table.strengths if (point := table.at(target, strength))]
    # What cannot be done, or has no score that is a number, is no choice.
    points = [point for point in points if math.isfinite(table.drop(point))]
    priced = sorted(((cost(target, point.strength), point) for point in points), key=lambda pair: -pair[0])
    choices: list[tuple[float | None, float, float]] = [(None, 0.0, cost(target, None))]
    for price, point in priced:
        choices.append((point.strength, max(choices[-1][1], table.drop(point)), price))
    return choices
