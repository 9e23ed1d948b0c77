"""What earlier searches of the same model, data and methods looked at, whatever their goal was."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

from workbench.errors import WorkbenchError
from workbench.search.goal import Goal
from workbench.search.planner.candidate import Candidate
from workbench.search.planner.findings import key_of
from workbench.search.planner.judge import verdict_of
from workbench.search.planner.space import Space
from workbench.search.planner.study import Journal
from workbench.search.trials.trial import TrialContext

FORMAT = 2  # of what is kept; raised when knobs or what they mean change


def identity(trial_context: TrialContext, space: Space) -> str:
    """Return hex digits of all that makes candidates of two searches comparable: model, data, seed and methods."""
    subject, reference = trial_context.context.subject, trial_context.reference
    facts = (
        FORMAT,
        subject.fingerprint,
        subject.task.digest("train", "calibration"),
        reference.samples.digest,
        trial_context.context.seed,
        trial_context.state.digest(),
        str(subject.device),
        space,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def goal_key(goal: Goal) -> str:
    """Return hex digits of what a goal wants, however long it may take."""
    facts = {name: value for name, value in goal.facts().items() if name != "seconds"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def known_candidates(journal: Journal, goal: Goal, lose: float) -> tuple[Candidate, ...]:
    """Return the candidates of which is known whether they meet a goal, each once and numbered from 1.

    Times are those of the machine and the hour, so where they count nothing is known.

    Args:
        journal: Of earlier searches.
        goal: What is wanted now.
        lose: What may be lost, in the unit of the metric's values.
    """
    if goal.runtimes:
        return ()
    taken, names = dict[str, Candidate](), {*goal.counted, *goal.objectives}
    for facts in journal.known():
        try:
            one = Candidate.read(facts)
        except WorkbenchError:  # of a version that wrote something else
            continue
        verdict = verdict_of(one.score, lose) if one.score is not None else None
        if verdict is None or not names <= set(one.costs):
            continue
        over = any(not one.costs.get(name, -math.inf) <= most for name, most in goal.limits.items())
        taken.setdefault(key_of(one.steps), replace(one, verdict="fails" if over else verdict, final=None))
    return tuple(replace(one, number=number) for number, one in enumerate(taken.values(), 1))
