"""Importance contest: the same units ranked by every criterion, and what the score does when each ranking is followed.

How alike two rankings are is Spearman's rank correlation (Spearman: "The Proof and Measurement of Association between
Two Things", 1904); which one is right is measured: the least important units go first, and the score is compared,
sample by sample, with the baseline's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.graph import cut
from workbench.jobs.progress import Progress
from workbench.measure import Score
from workbench.measure.sequential import score
from workbench.model.layers import choose, first_names, globs
from workbench.search.trials import Tolerance, TrialContext
from workbench.steps import Context, State
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA, judged_weights
from workbench.steps.prune.importance.ranking import least_important
from workbench.steps.prune.patterns import keep_masks

Units = Literal["channels", "weights"]
AMOUNTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

Scores = Mapping[str, Tensor]
Edit = tuple[State, Mapping[str, Tensor] | None]


@dataclass(frozen=True)
class Stop:
    """One point of the way along a ranking.

    Attributes:
        amount: Part of the units that was to go.
        score: On validation.
    """

    amount: float
    score: Score


@dataclass(frozen=True)
class Entry:
    """One criterion in a contest.

    Attributes:
        criterion: Its kind.
        title: What people read.
        seconds: How long its ranking took.
        curve: The scores when it is followed, by rising amount; () where it could not rank.
        reason: Why it could not rank, or what follows has no score; "" if all is well.
    """

    criterion: str
    title: str
    seconds: float = 0.0
    curve: tuple[Stop, ...] = ()
    reason: str = ""

    @property
    def mean(self) -> float:
        """The mean score along the way so far, in the metric's unit; NaN where there is none."""
        return sum(stop.score.value for stop in self.curve) / len(self.curve) if self.curve else float("nan")


@dataclass(frozen=True)
class Contest:
    """A contest's result.

    Attributes:
        units: "channels" or "weights".
        ranking: "local", the same part of every group or layer goes, or "global".
        parts: The groups or weights that were ranked, and how many units each has.
        amounts: Where the scores were measured.
        baseline: The baseline's score.
        entries: The criteria, in the order of their table.
        correlations: Spearman's rank correlation, -1 to 1, of every two entries (both orders and each with itself), the
            mean over parts by their number of units; None where one of the two gives all units the same rank, or none.
    """

    units: Units
    ranking: str
    parts: tuple[tuple[str, int], ...]
    amounts: tuple[float, ...]
    baseline: Score
    entries: tuple[Entry, ...] = ()
    correlations: tuple[tuple[float | None, ...], ...] = ()

    @property
    def order(self) -> tuple[Entry, ...]:
        """The entries that ranked, the one that keeps the score best first."""
        sign = -1.0 if self.baseline.higher_is_better else 1.0
        return tuple(sorted((entry for entry in self.entries if entry.curve), key=lambda entry: sign * entry.mean))

    def facts(self) -> dict[str, Any]:
        """Return the contest as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Contest:
        """Return the contest of plain JSON.

        Raises:
            WorkbenchError: It is none.
        """
        try:
            entries = tuple(
                Entry(**{**entry, "curve": tuple(Stop(s["amount"], Score(**s["score"])) for s in entry["curve"])})
                for entry in facts["entries"]
            )
            return cls(
                facts["units"],
                facts["ranking"],
                tuple((str(name), int(count)) for name, count in facts["parts"]),
                tuple(facts["amounts"]),
                Score(**facts["baseline"]),
                entries,
                tuple(tuple(row) for row in facts["correlations"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WorkbenchError(f"this is no importance contest: {error!r} is missing or wrong") from error


def hold_contest(
    trial_context: TrialContext,
    *,
    units: Units = "channels",
    layers: str = "*",
    exclude: str = "",
    criteria: Sequence[str] = (),
    amounts: Sequence[float] = AMOUNTS,
    ranking: str = "local",
    tolerance: float = Tolerance.half_width,
    report: Callable[[Contest], None] = lambda _: None,
) -> Contest:
    """Return how all criteria rank the same units, and the scores that follow.

    A criterion that says nothing about some of the units takes no part, with the reason. Each score is measured until
    its interval is within ±`tolerance`, or within a tenth of the drop where that is more.

    Args:
        trial_context: Whose model is ranked, and what it is judged with.
        units: "channels" of coupled groups that can be cut, or "weights".
        layers: Which layers (or groups with one of these layers): names or globs, with commas between them.
        exclude: Which not.
        criteria: Kinds; by default all that rank such units.
        amounts: Parts of the units, 0 to 1, that go.
        ranking: "local" takes the same part of every group or layer, "global" ranks them together.
        tolerance: Half-width of the interval, in the metric's unit.
        report: Called with the growing contest.

    Raises:
        WorkbenchError: An argument is not accepted, or nothing can be ranked.
        Cancelled: It was told to stop.
    """
    kinds = _checked(units, criteria, amounts, ranking)
    context, reference = trial_context.context, trial_context.reference
    if units == "channels":
        track = _channels(trial_context.state, context, layers, exclude)
    else:
        track = _weights(trial_context.state, context, layers, exclude, kinds)
    contest = Contest(units, ranking, track.parts, tuple(sorted(set(amounts))), reference.score)
    ranked: dict[str, Scores] = {}
    entries: list[Entry] = []
    for number, kind in enumerate(kinds):
        share = context.within(number / len(kinds) / 2, (number + 1) / len(kinds) / 2, CRITERIA[kind].title)
        start = time.perf_counter()
        try:
            ranked[kind], reason = track.rank(kind, share), ""
        except Cancelled:
            raise
        except WorkbenchError as error:
            reason = str(error)
        entries.append(Entry(kind, CRITERIA[kind].title, time.perf_counter() - start, reason=reason))
    contest = dataclasses.replace(contest, entries=tuple(entries), correlations=_correlations(kinds, ranked))
    report(contest)
    for number, kind in enumerate(ranked):
        low, high = (0.5 + (number + step) / len(ranked) / 2 for step in (0, 1))
        progress = context.progress.part(low, high, f"following {CRITERIA[kind].title}")
        try:
            for stop in _follow(track, kind, ranked[kind], contest, trial_context, tolerance, progress):
                entries = [_longer(entry, stop) if entry.criterion == kind else entry for entry in entries]
                contest = dataclasses.replace(contest, entries=tuple(entries))
                report(contest)
        except Cancelled:
            raise
        except WorkbenchError as error:
            # A mean over a part of the way would be that of the mildest cuts, so this one is out.
            entries = [_refused(entry, str(error)) if entry.criterion == kind else entry for entry in entries]
            contest = dataclasses.replace(contest, entries=tuple(entries))
            report(contest)
    context.progress.update(1.0)
    return contest


@dataclass(frozen=True)
class _Track:
    """What is ranked, by whom, and the model in which a part of it is gone."""

    parts: tuple[tuple[str, int], ...]
    rank: Callable[[str, Context], Scores]
    without: Callable[[str, Scores, float, bool], Edit]


def _channels(state: State, context: Context, layers: str, exclude: str) -> _Track:
    every = context.layers(state.model)
    wanted = {layer.module for layer in choose(every, layers, globs(exclude))}
    unwanted = {layer.module for layer in every} - {layer.module for layer in choose(every, "*", globs(exclude))}
    model, all_groups = context.channels(state.model)
    groups = [
        group
        for group in all_groups
        if group.protected is None and wanted.intersection(group.layers) and not unwanted.intersection(group.layers)
    ]
    if not groups:
        raise WorkbenchError(f"no channels of {layers} can be cut, so there is nothing to rank")

    def rank(kind: str, share: Context) -> Scores:
        criterion = CRITERIA[kind]
        _refuse_unfit({group.name: criterion.unfit(model, group) for group in groups})
        return criterion.units(model, groups, share)

    def without(kind: str, scores: Scores, amount: float, together: bool) -> Edit:
        remove = least_important(scores, amount, together, 1, CRITERIA[kind].comparable)
        return State(cut(model, groups, remove)), None

    return _Track(tuple((group.name, len(group.units)) for group in groups), rank, without)


def _weights(state: State, context: Context, layers: str, exclude: str, kinds: Sequence[str]) -> _Track:
    chosen = first_names(state.model, choose(context.layers(state.model), layers, globs(exclude)))
    if layers == "*":  # the same weights for all: a table of places would keep some criteria out of every contest
        for kind in kinds:
            chosen, _ = judged_weights(WEIGHT_CRITERIA[kind], state.model, chosen)
    names = list(chosen)
    weights = {name: state.model.get_parameter(name).detach() for name in names}

    def rank(kind: str, share: Context) -> Scores:
        return WEIGHT_CRITERIA[kind].weights(state.model, names, share)

    def without(kind: str, scores: Scores, amount: float, together: bool) -> Edit:
        keep = keep_masks(scores, amount, together)
        return state, {name: weights[name].masked_fill(~mask, 0.0) for name, mask in keep.items()}

    return _Track(tuple((name, weights[name].numel()) for name in names), rank, without)


def _refuse_unfit(reasons: Mapping[str, str]) -> None:
    if wrong := [f"{name}: {why}" for name, why in reasons.items() if why]:
        raise WorkbenchError("; ".join(wrong))


def _follow(
    track: _Track,
    kind: str,
    scores: Scores,
    contest: Contest,
    trial_context: TrialContext,
    tolerance: float,
    progress: Progress,
) -> Iterator[Stop]:
    for number, amount in enumerate(contest.amounts):
        progress.update(number / len(contest.amounts), f"{amount:.0%} gone")
        predict = trial_context.evaluator.prepare(*track.without(kind, scores, amount, contest.ranking == "global"))
        yield Stop(
            amount, score(predict, trial_context.reference, tolerance, progress.silent(), relative=Tolerance.relative)
        )


def _longer(entry: Entry, stop: Stop) -> Entry:
    return dataclasses.replace(entry, curve=(*entry.curve, stop))


def _refused(entry: Entry, reason: str) -> Entry:
    return dataclasses.replace(entry, curve=(), reason=reason)


def _correlations(kinds: Sequence[str], ranked: Mapping[str, Scores]) -> tuple[tuple[float | None, ...], ...]:
    correlations: dict[tuple[str, str], float | None] = {}
    for first, second in combinations(ranked, 2):
        correlations[first, second] = correlations[second, first] = rank_correlation(ranked[first], ranked[second])
    correlations |= {(kind, kind): 1.0 for kind in ranked}
    return tuple(tuple(correlations.get((first, second)) for second in kinds) for first in kinds)


def rank_correlation(one: Scores, other: Scores) -> float | None:
    """Return Spearman's rank correlation within parts, as the mean over parts by their number of units.

    A part in which one of the two gives all units the same score does not count; None if none is left.
    """
    from scipy.stats import spearmanr  # slow to import

    total, count = 0.0, 0
    for name, scores in one.items():
        pair = [value.flatten().double().numpy() for value in (scores, other[name])]
        if all(values.max() > values.min() for values in pair):
            total += len(pair[0]) * float(spearmanr(*pair).statistic)
            count += len(pair[0])
    return total / count if count else None


def _checked(units: str, criteria: Sequence[str], amounts: Sequence[float], ranking: str) -> list[str]:
    if units not in ("channels", "weights"):
        raise WorkbenchError(f'units are "channels" or "weights", not {units!r}')
    if ranking not in ("local", "global"):
        raise WorkbenchError(f'the ranking is "local" or "global", not {ranking!r}')
    if not amounts or not all(0 <= amount < 1 for amount in amounts):
        raise WorkbenchError(f"amounts are parts of the units, from 0 to less than 1, not {tuple(amounts)}")
    known = list(CRITERIA if units == "channels" else WEIGHT_CRITERIA)
    unknown = [kind for kind in criteria if kind not in known]
    if unknown:
        raise WorkbenchError(f"{', '.join(unknown)} does not rank {units}; there are {', '.join(known)}")
    return [kind for kind in known if kind in criteria] if criteria else known
