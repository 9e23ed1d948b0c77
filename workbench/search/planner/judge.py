"""Judging one candidate: built, costed, and scored for as long as it may still win.

The anytime score is looked at again and again. It stops as soon as the whole interval is on one side of what may be
lost; and what costs no less than another candidate that meets the goal is not scored at all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.measure import Score, count, measure_size
from workbench.measure.compute import count_macs, model_energy
from workbench.measure.memory import measure_peak
from workbench.measure.sampling import REPEATED_LOOKS, Sampling
from workbench.measure.sequential import next_look, whole
from workbench.model.twin import sharing_copy
from workbench.search.planner.candidate import Verdict, dominates
from workbench.search.trials.trial import Outcome, Trial, TrialContext, built
from workbench.steps import Context, State

ROUNDING = 1e-12  # of a loss that was read as 0.5 points and divided


@dataclass(frozen=True)
class Rule:
    """What a candidate has to keep, and what it has to beat.

    Attributes:
        lose: Largest loss of the score, in the unit of the metric's values.
        counted: Quantities that are wanted of it, beside the bytes of its file.
        objectives: Those of them that are to be small and follow from the model; () where a time is to be small, which
            is not known here.
        limits: Quantity to the most that it may be.
        beaten: Costs of candidates that meet the goal.
    """

    lose: float
    counted: tuple[str, ...] = ("bytes",)
    objectives: tuple[str, ...] = ("bytes",)
    limits: Mapping[str, float] = field(default_factory=dict)
    beaten: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True)
class Judged:
    """What is known of a candidate.

    Attributes:
        verdict: What follows for the goal.
        outcome: Score, size, and what the score rests on.
        costs: Quantity to its value.
        seconds: How long it took, building included.
        state: What was built, where that was asked for.
        reason: Why it is impossible, or which limit it breaks.
    """

    verdict: Verdict
    outcome: Outcome
    costs: Mapping[str, float]
    seconds: float
    state: State | None = None
    reason: str = ""


def loss_interval(score: Score) -> tuple[float, float]:
    """Return the ends of the interval of a score's loss over its split: at best, and at worst."""
    return (-score.change_high, -score.change_low) if score.higher_is_better else (score.change_low, score.change_high)


def verdict_of(score: Score, lose: float) -> Verdict | None:
    """Return what a score says of a largest loss, None while its interval holds both."""
    best, worst = loss_interval(score)
    if worst <= lose + ROUNDING:
        return "meets"
    return "fails" if best > lose + ROUNDING or score.exact else None


def costs_of(state: State, overlay: Mapping[str, Tensor], context: Context, names: tuple[str, ...]) -> dict[str, float]:
    """Return quantities of a built state by name: bytes, parameters, macs, memory (bytes) and energy (joules)."""
    size = measure_size(state.model, state.codings, context.subject, overlay).total
    found: dict[str, float] = {"bytes": float(size)}
    if "parameters" in names:
        found["parameters"] = float(count(state, overlay)[0])
    if "macs" in names or "energy" in names:
        macs = count_macs(state.model, context.example())
        found["macs"] = float(macs)
        found["energy"] = model_energy(state.model, state.codings, context.layers(state.model), macs, size)
    if "memory" in names:
        found["memory"] = float(measure_peak(state.model, context.subject.task.example(1)))
    return {name: value for name, value in found.items() if name in names or name == "bytes"}


def judge(
    trial_context: TrialContext, trial: Trial, rule: Rule, before: Outcome | None = None, keep: bool = False
) -> Judged:
    """Return what is known of steps on the context's state once it is clear whether they meet the goal.

    Args:
        trial_context: The state, and what it is judged with.
        trial: The steps.
        rule: What they have to keep.
        before: What was known of them earlier, such as by a search that was stopped.
        keep: Whether the built state is wanted.

    Raises:
        Cancelled: The context's progress was told to stop.
    """
    start = time.perf_counter()
    quiet = replace(trial_context.context, progress=trial_context.context.progress.silent())
    try:
        if all(step.overlays for step in trial):
            trial_context.evaluator.anchor(trial_context.state)
        state, overlay = built(trial_context.state, trial, quiet)
        costs = costs_of(state, overlay, quiet, rule.counted)
        outcome = before or Outcome(None, int(costs["bytes"]), count(state, overlay)[1])
        verdict, outcome, reason = _verdict(trial_context, state, overlay, costs, rule, outcome)
    except Cancelled:
        raise
    except WorkbenchError as error:
        seconds = time.perf_counter() - start
        return Judged("impossible", Outcome(None, reason=str(error)), {}, seconds, reason=str(error))
    if keep and overlay:
        state = replace(state, model=sharing_copy(state.model, overlay))
    return Judged(verdict, outcome, costs, time.perf_counter() - start, state if keep else None, reason)


def _verdict(
    trial_context: TrialContext,
    state: State,
    overlay: Mapping[str, Tensor],
    costs: Mapping[str, float],
    rule: Rule,
    outcome: Outcome,
) -> tuple[Verdict, Outcome, str]:
    broken = [
        f"{name} is {costs[name]:g}, not {most:g}" for name, most in rule.limits.items() if not costs[name] <= most
    ]
    if rule.objectives and any(dominates(one, costs, rule.objectives) for one in rule.beaten):
        return "dominated", outcome, ""
    progress, reference = trial_context.context.progress, trial_context.reference
    if outcome.score is not None and (known := verdict_of(outcome.score, rule.lose)):
        return ("fails" if broken else known), outcome, "; ".join(broken)
    predict = trial_context.evaluator.prepare(state, overlay)
    if not reference.metric.decomposes:
        outcome = replace(outcome, score=whole(predict, reference, progress.silent()))
    else:
        sampling, wanted = Sampling.of(reference, REPEATED_LOOKS, outcome.seen), REPEATED_LOOKS.first
        if outcome.score is not None:
            wanted = next_look(sampling, outcome.score)
        while True:
            score = sampling.look(predict, wanted, progress.silent())
            outcome = replace(outcome, score=score, seen=sampling.facts())
            if verdict_of(score, rule.lose) or broken:  # a limit is broken in any case: one look is enough
                break
            gap = abs(score.loss - rule.lose)
            wanted = next_look(sampling, score, gap / 2)
    assert outcome.score is not None  # noqa: S101  # set in both branches
    found: Verdict = "fails" if broken else verdict_of(outcome.score, rule.lose) or "fails"
    return found, outcome, "; ".join(broken)
