"""A preview: what one more step would do, painted in stages, the cheap numbers first.

The step is not applied. A weight step is an overlay of the changed tensors over the untouched model; only a
graph step builds a module. Counts and bytes come first, then a first score, the latency, an interval under ±1 point,
and the exact score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from torch import Tensor

from workbench.checkpoint.coding import Coding
from workbench.errors import WorkbenchError
from workbench.measure import (
    Latency,
    Reference,
    Score,
    Size,
    anytime,
    count_nonzeros,
    emptied_notes,
    measure_size,
    time_runtimes,
)
from workbench.measure.compute import count_macs
from workbench.measure.evaluator import Evaluator
from workbench.measure.runtimes import Forward
from workbench.model.twin import twin
from workbench.steps import Context, State, Step, TrainingStep, candidate

LATENCY_SECONDS = 0.15
NARROW = 0.01


class Stage(IntEnum):
    """How far a preview has come; each stage keeps what the ones before it brought."""

    COUNTS = 0
    ESTIMATE = 1
    LATENCY = 2
    NARROW = 3
    EXACT = 4


@dataclass(frozen=True)
class Preview:
    """What is known so far of a step that was not applied.

    Attributes:
        step: What is previewed.
        stage: How far it has come.
        params: Number of parameters.
        nonzero: Those that are not zero.
        bytes: The file's size and ledger.
        macs: For one sample.
        score: On validation, with its interval.
        latency: By runtime.
        unavailable: Why a runtime could not run it.
        changed: New values of parameters by name, for a weight step; for drawing.
        codings: How parameters would be stored; for drawing a grid.
        nonzeros: How many values of each parameter are not zero, by its name.
        notes: What the step would leave undone, and why.
        error: Why the step cannot be done, "" if it can.
        done: Whether no more will come.
        base: Key of the recipe that it stands on.
    """

    step: Step
    stage: Stage = Stage.COUNTS
    params: int = 0
    nonzero: int = 0
    bytes: Size | None = None
    macs: int = 0
    score: Score | None = None
    latency: Mapping[str, Latency] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, Tensor] = field(default_factory=dict, compare=False, repr=False)
    codings: Mapping[str, Coding] = field(default_factory=dict, compare=False, repr=False)
    nonzeros: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    notes: tuple[str, ...] = ()
    error: str = ""
    done: bool = False
    base: str = ""

    @property
    def weights_key(self) -> object:
        """What is equal for previews that show the same weights: later stages bring other numbers only."""
        return self.step, self.error


@dataclass(frozen=True)
class EvaluationContext:
    """What a preview starts from and is judged with; what is costly is a function, called by the worker."""

    context: Context
    state: Callable[[], State]
    reference: Callable[[], Reference]
    evaluator: Evaluator
    baselines: Callable[[], Mapping[str, Forward]]
    base: str = ""


def stages(step: Step, evaluation: EvaluationContext) -> Iterator[Preview]:
    """Yield the preview of `step`, stage by stage.

    Raises:
        WorkbenchError: The step cannot be done.
        Cancelled: A newer request came.
    """
    if isinstance(step, TrainingStep):
        raise WorkbenchError(f"{step.title} trains, so it has no preview; apply it to see what it gives")
    context, state = evaluation.context, evaluation.state()
    built, overlay = candidate(state, step, context)
    params, nonzeros = sum(value.numel() for value in built.model.parameters()), count_nonzeros(built, overlay)
    size = measure_size(built.model, built.codings, context.subject, overlay)
    macs = count_macs(built.model, context.example())
    judged = context.subject.task.metric.note
    emptied = emptied_notes(built, context, nonzeros)
    new = (*built.notes[len(state.notes) :], *emptied, *([judged] if judged else []))
    seen = Preview(
        step, Stage.COUNTS, params, sum(nonzeros.values()), size, macs,
        changed=overlay, codings=built.codings, nonzeros=nonzeros, notes=new, base=evaluation.base,
    )  # fmt: skip
    yield seen
    reference, evaluator = evaluation.reference(), evaluation.evaluator
    if reference.metric.note not in ("", *seen.notes):
        seen = replace(seen, notes=(*seen.notes, reference.metric.note))
    settled = evaluator.anchor(state, quick=True)
    predict = evaluator.prepare(built, overlay)
    scores = anytime(lambda numbers: predict(numbers), reference, context.progress.silent(), tolerance=NARROW)
    seen = replace(seen, stage=Stage.ESTIMATE, score=next(scores))
    yield seen
    # Tracing a new structure takes longer than a first estimate may, so it comes after that one.
    if not settled and evaluator.anchor(state):
        predict = evaluator.prepare(built, overlay)
    # Values in dense tensors do not change how long a kernel takes, but that too is measured and not assumed.
    latency, unavailable = time_runtimes(
        replace(built, model=twin(built.model, overlay)),
        False,
        context.subject.task.example(1),
        evaluation.baselines(),
        LATENCY_SECONDS,
        context.progress.silent(),
    )
    seen = replace(seen, stage=Stage.LATENCY, latency=latency, unavailable=unavailable)
    yield seen
    for score in scores:
        stage = Stage.EXACT if score.exact else Stage.NARROW if score.half_width <= NARROW else Stage.LATENCY
        seen = replace(seen, stage=stage, score=score)
        yield seen
    yield replace(seen, stage=Stage.EXACT, done=True)
