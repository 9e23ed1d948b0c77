"""Budgets: a strength of its own for each part of the model, suggested by a sensitivity scan or set by hand."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import replace

from workbench.errors import WorkbenchError
from workbench.recipe import read_step
from workbench.sensitivity import Table
from workbench.steps import Step

OWN = "by_layer"  # the option of steps that take a strength for each layer at once


def suggest(table: Table, tolerance: float) -> dict[str, float]:
    """Return for each part the strongest strength whose drop alone, and that of all milder ones, is tolerated.

    Drops of several parts together may add up to more, or to less. Parts where even the mildest strength costs more,
    or cannot be done, are left out.

    Args:
        table: A scan, which may still be growing.
        tolerance: Largest drop of the score, in the metric's unit: 0.01 is one point of accuracy.

    Raises:
        WorkbenchError: The tolerance is negative.
    """
    if tolerance < 0:
        raise WorkbenchError(f"a tolerated drop is at least 0, not {tolerance:g}")
    amounts = read_step(table.step).amounts
    falling = len(amounts) > 1 and amounts[0] > amounts[-1]  # fewer bits are stronger
    sign = -1.0 if table.baseline.higher_is_better else 1.0
    found: dict[str, float] = {}
    for target in table.targets:
        for strength in sorted(table.strengths, reverse=falling):
            point = table.at(target, strength)
            if point is None or point.score is None or sign * point.score.change > tolerance:
                break
            found[target] = strength
    return found


def budget_steps(step: Step, strengths: Mapping[str, float]) -> tuple[Step, ...]:
    """Return steps that give each part its strength: one where the step takes them all, else one for each strength.

    Args:
        step: Whose other options are kept.
        strengths: Name of a layer or group to the strength of the step's field.

    Raises:
        WorkbenchError: The step has no strength, or a value of it is not accepted.
    """
    if not step.strength:
        raise WorkbenchError(f"{step.title} has no strength that parts of a model could have of their own")
    if not strengths:
        return ()
    names: dict[float, list[str]] = {}
    for target, strength in strengths.items():
        names.setdefault(strength, []).append(glob.escape(target))
    together = [step.with_strength(", ".join(parts), strength) for strength, parts in names.items()]
    if len(together) == 1 or OWN not in {option.name for option in step.options()}:
        return tuple(together)
    # With a point, for a whole number would be a count of channels.
    own = ", ".join(f"{name}={strength:.4f}" for strength, parts in names.items() for name in parts)
    everything = ", ".join(name for parts in names.values() for name in parts)
    return (replace(step, layers=everything, exclude="", **{OWN: own}),)
