"""Proposals: strengths of parts that a scan suggests, and what they cost together, which is measured.

A scan knows what parts cost alone. Where parts make up for each other, the drops of single parts say next to nothing of
the drop of all: the sum is a guess, and a proposal is judged by the score of its steps done together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.search.budget import budget_steps, falls, suggest
from workbench.search.latency_budget import least_enough
from workbench.search.sensitivity import Table, worse
from workbench.search.trials import Tolerance, TrialContext, run_trials
from workbench.steps import Step
from workbench.steps.recipe import read_step

SHARPER = 10  # times narrower than the tolerated drop is the interval that decides on it
ROUNDING = 1e-12  # of a drop that was read as 0.5 points and multiplied


@dataclass(frozen=True)
class Proposal:
    """Steps that give parts strengths of their own, and their score together. It can be passed to `session.extend`.

    Attributes:
        strengths: Name of a layer or group to the strength it gets; what is left alone is not in it.
        steps: What is to be done; () if nothing is within what was tolerated.
        expected: Sum of the drops of single parts as the scan found them, in the metric's unit.
        score: Of all steps together, on validation; None if there are none.
        lost: By how much the scanned state was worse than the untouched subject already; drops count from there.
        tried: How many proposals were scored together until this one was taken.
    """

    strengths: Mapping[str, float]
    steps: tuple[Step, ...]
    expected: float
    score: Score | None
    lost: float = 0.0
    tried: int = 1

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def drop(self) -> float:
        """By how much all steps together make the scanned state's score worse, in the metric's unit."""
        return 0.0 if self.score is None else worse(self.score) - self.lost

    @property
    def drop_interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of `drop` over the split; equal where every sample was seen."""
        if self.score is None:
            return 0.0, 0.0
        low, high = self.score.change_low, self.score.change_high
        low, high = (-high, -low) if self.score.higher_is_better else (low, high)
        return low - self.lost, high - self.lost

    @property
    def words(self) -> str:
        """What people read: the change that single drops let expect, and the one that was measured."""
        if self.score is None:
            return "nothing is within the tolerated drop, measured together"
        unit, sign = self.score.unit, -1 if self.score.higher_is_better else 1
        low, high = sorted(sign * end for end in self.drop_interval)
        joint = replace(self.score, change=sign * self.drop, change_low=low, change_high=high)
        expected, measured = formatting.points(sign * self.expected, unit), formatting.points(joint.change, unit)
        interval = f"all {joint.total:,} samples" if joint.exact else formatting.change_interval(joint)
        return f"expected {expected} from single drops, measured together {measured} ({interval.strip('()')})"


def propose(trial_context: TrialContext, table: Table, tolerance: float, folder: Path | None = None) -> Proposal:
    """Return the strongest proposal of a scan whose drop, measured together, is within what is tolerated.

    It begins with what `suggest` says. While the worse end of the drop's interval is beyond the tolerance, strengths
    are taken back, those first that cost most alone, and of those that cost nothing the strongest. How many, is found
    by bisection, so about the logarithm of their number is scored. It is empty if even the last one costs more.

    Args:
        trial_context: The state that was scanned, and what it is judged with.
        table: A scan.
        tolerance: Largest drop of the score, in the metric's unit: 0.01 is one point of accuracy.
        folder: Where outcomes are kept.

    Raises:
        WorkbenchError: The tolerance is negative.
        Cancelled: It was told to stop.
    """
    progress = trial_context.context.progress
    moves = _moves(table, suggest(table, tolerance))
    expected, scored = len(moves).bit_length() + 1, dict[int, Proposal]()

    def within(undone: int) -> bool:
        progress.update(min(len(scored) / expected, 1.0), f"scored together: {len(scored)} of about {expected}")
        strengths = dict(moves[: len(moves) - undone])  # of a part, the strongest comes last
        how = Tolerance(tolerance / SHARPER)
        proposal = scored[undone] = measured(trial_context, table, strengths, how, folder)
        return proposal.drop_interval[1] <= tolerance + ROUNDING

    if moves and within(0):
        return scored[0]
    less = least_enough(len(moves) - 2, lambda number: within(number + 1))  # all undone is no proposal
    if less is None or not moves:
        return Proposal({}, (), 0.0, None, table.lost, len(scored))
    return replace(scored[less + 1], tried=len(scored))


def measured(
    trial_context: TrialContext,
    table: Table,
    strengths: Mapping[str, float],
    tolerance: Tolerance,
    folder: Path | None = None,
) -> Proposal:
    """Return a proposal with its score, clear to within `tolerance`; errors and other arguments as in `propose`."""
    steps = budget_steps(read_step(table.step), strengths)
    expected = sum(max(_drop(table, *place), 0.0) for place in strengths.items())
    return Proposal(dict(strengths), steps, expected, score_of(trial_context, steps, tolerance, folder), table.lost)


def score_of(
    trial_context: TrialContext, steps: tuple[Step, ...], tolerance: Tolerance, folder: Path | None = None
) -> Score | None:
    """Return the score of steps done together, None if there are none.

    Raises:
        WorkbenchError: They cannot be done together, or the score is no number.
        Cancelled: It was told to stop.
    """
    if not steps:
        return None
    outcomes = [outcome for _, outcome in run_trials(trial_context, [steps], tolerance, folder=folder)]
    if outcomes[-1].score is None:
        raise WorkbenchError(f"the steps cannot be scored together: {outcomes[-1].reason}")
    return outcomes[-1].score


def _moves(table: Table, strengths: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return (part, strength) in the order in which parts would be given them, so that the last are taken back first.

    A part's drop counts as no less than at its milder strengths: what looks otherwise is chance.
    """
    order = sorted(table.strengths, reverse=falls(table))
    ranked = []
    for number, (target, most) in enumerate(strengths.items()):
        drop = 0.0
        for rank, strength in enumerate(order[: order.index(most) + 1]):
            drop = max(drop, _drop(table, target, strength))
            ranked.append(((drop, rank, number), (target, strength)))
    return [place for _, place in sorted(ranked)]


def _drop(table: Table, target: str, strength: float) -> float:
    point = table.at(target, strength)
    if point is None:
        raise WorkbenchError(f"{target} at {strength:g} was not scanned")
    return table.drop(point)
