"""Budgets: a strength of its own for each part of the model, suggested by a sensitivity scan or set by hand."""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping
from dataclasses import replace

from workbench.errors import WorkbenchError
from workbench.search.sensitivity import Table
from workbench.steps import Step
from workbench.steps.recipe import read_step

OWN = "by_layer"  # the option of steps that take a strength for each layer at once


def suggest(table: Table, tolerance: float, together: bool = True) -> dict[str, float]:
    """Return for each part the strongest strength whose drop, and that of all milder ones, is tolerated.

    Drops count from the scanned state. All parts are held to one limit for each: the largest with which the drops add
    up to `tolerance`. Where parts make up for each other or amplify each other, the sum is only a guess, and
    `search.joint.propose` measures what it comes to. Parts where even the mildest strength costs more, or cannot be
    done, are left out.

    Args:
        table: A scan, which may still be growing.
        tolerance: Largest drop of the score, in the metric's unit: 0.01 is one point of accuracy.
        together: Whether it is that of all parts together; else each part alone may cost as much.

    Raises:
        WorkbenchError: The tolerance is negative.
    """
    if tolerance < 0:
        raise WorkbenchError(f"a tolerated drop is at least 0, not {tolerance:g}")
    drops = {(point.target, point.strength): table.drop(point) for point in table.points}
    limits = sorted({0.0, *(drop for drop in drops.values() if 0 < drop <= tolerance)}, reverse=True)
    for limit in limits:
        strengths = _within(table, drops, limit)
        if not together or sum(max(drops[place], 0.0) for place in strengths.items()) <= tolerance:
            return strengths
    return {}


def falls(table: Table) -> bool:
    """Return whether smaller strengths of the scanned step are the stronger ones, as fewer bits are."""
    amounts = read_step(table.step).amounts
    return len(amounts) > 1 and amounts[0] > amounts[-1]


def _within(table: Table, drops: Mapping[tuple[str, float], float], limit: float) -> dict[str, float]:
    order = sorted(table.strengths, reverse=falls(table))
    strengths: dict[str, float] = {}
    for target in table.targets:
        for strength in order:
            if drops.get((target, strength), math.inf) > limit:
                break
            strengths[target] = strength
    return strengths


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
