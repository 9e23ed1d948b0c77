"""A preview: what one more step would do, painted in stages, the cheap numbers first.

The step is not applied. A weight step is an overlay of the changed tensors over the untouched model; only a
graph step builds a module. A newer request ends an older one at its next batch.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock

import torch
from torch import Tensor

from workbench.coding import Coding
from workbench.errors import Cancelled, WorkbenchError
from workbench.evaluator import Evaluator
from workbench.measure import Latency, Reference, Score, Size, anytime, count_nonzeros, measure_size, time_runtimes
from workbench.measure.compute import count_macs
from workbench.progress import Progress
from workbench.runtimes import Forward
from workbench.steps import Context, State, Step, TrainingStep, WeightStep, bookkeeping
from workbench.twin import twin

LATENCY_SECONDS = 0.15
NARROW = 0.01


@dataclass(frozen=True)
class Preview:
    """What is known so far of a step that was not applied.

    Attributes:
        step: What is previewed.
        stage: 0 counts and bytes, 1 a first score, 2 latency, 3 an interval under ±1 point, 4 the exact score.
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
    """

    step: Step
    stage: int = 0
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

    @property
    def weights_key(self) -> object:
        """What is equal for previews that show the same weights: later stages bring other numbers only."""
        return self.step, self.error


@dataclass(frozen=True)
class Bench:
    """What a preview starts from and is judged with; what is costly is a function, called by the worker."""

    context: Context
    state: Callable[[], State]
    reference: Callable[[], Reference]
    evaluator: Evaluator
    baselines: Callable[[], Mapping[str, Forward]]


def stages(step: Step, bench: Bench) -> Iterator[Preview]:
    """Yield the preview of `step`, stage by stage.

    Raises:
        WorkbenchError: The step cannot be done.
        Cancelled: A newer request came.
    """
    if isinstance(step, TrainingStep):
        raise WorkbenchError(f"{step.title} trains, so it has no preview; apply it to see what it gives")
    context, state = bench.context, bench.state()
    built, overlay = candidate(state, step, context)
    params, nonzeros = sum(value.numel() for value in built.model.parameters()), count_nonzeros(built, overlay)
    size = measure_size(built.model, built.codings, context.subject, overlay)
    macs = count_macs(built.model, context.example())
    judged = context.subject.task.metric.note
    new = (*built.notes[len(state.notes) :], *([judged] if judged else []))
    seen = Preview(
        step, 0, params, sum(nonzeros.values()), size, macs,
        changed=overlay, codings=built.codings, nonzeros=nonzeros, notes=new,
    )  # fmt: skip
    yield seen
    reference, evaluator = bench.reference(), bench.evaluator
    if reference.metric.note not in ("", *seen.notes):
        seen = replace(seen, notes=(*seen.notes, reference.metric.note))
    settled = evaluator.anchor(state, quick=True)
    predict = evaluator.prepare(built, overlay)
    scores = anytime(lambda numbers: predict(numbers), reference, context.progress.silent(), tolerance=NARROW)
    seen = replace(seen, stage=1, score=next(scores))
    yield seen
    # Tracing a new structure takes longer than a first estimate may, so it comes after that one.
    if not settled and evaluator.anchor(state):
        predict = evaluator.prepare(built, overlay)
    # Values in dense tensors do not change how long a kernel takes, but that too is measured and not assumed.
    latency, unavailable = time_runtimes(
        replace(built, model=twin(built.model, overlay)),
        False,
        context.subject.task.example(1),
        bench.baselines(),
        LATENCY_SECONDS,
        context.progress.silent(),
    )
    seen = replace(seen, stage=2, latency=latency, unavailable=unavailable)
    yield seen
    for found in scores:
        stage = 4 if found.exact else 3 if found.half_width <= NARROW else 2
        seen = replace(seen, stage=stage, score=found)
        yield seen
    yield replace(seen, stage=4, done=True)


def candidate(state: State, step: Step, context: Context) -> tuple[State, dict[str, Tensor]]:
    """Return the state after a step, and the overlay if the step is one.

    Where there is an overlay, the state's model is still the one before the step; only its codings are new.
    """
    if not (isinstance(step, WeightStep) and step.overlays):
        return step.build(state, context), {}
    with torch.no_grad():
        changes = step.changes(state, context)
    overlay = {name: change.weight for name, change in changes.items()}
    return replace(state, **bookkeeping(state, changes)), overlay


class Live:
    """Previews on one worker thread; the latest request wins.

    Args:
        publish: Called with every preview, on the worker's thread; None is published when a preview is taken back.
        threaded: False runs requests on the caller's thread, for tests and headless notebooks.
    """

    def __init__(self, publish: Callable[[Preview | None], None], *, threaded: bool = True) -> None:
        self._publish, self._threaded = publish, threaded
        self._generation = 0
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: tuple[int, Step, Bench] | None = None
        self._running = False

    def request(self, step: Step, bench: Bench) -> None:
        """Show what `step` would do, instead of whatever was asked before."""
        with self._lock:
            self._generation += 1
            self._waiting = (self._generation, step, bench)
            if self._running:
                return
            self._running = True
            if self._threaded and self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="workbench-live")
        if self._pool is not None:
            self._pool.submit(self._work)
        else:
            self._work()

    def cancel(self) -> None:
        """Stop, and take the preview back."""
        with self._lock:
            self._generation += 1
            self._waiting = None
            self._publish(None)

    def close(self) -> None:
        """Stop, and end the worker thread."""
        with self._lock:
            self._generation += 1
            self._waiting = None
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def _work(self) -> None:
        try:
            self._work_off()
        except BaseException:  # an interruption from the keyboard, where requests run on the caller's thread
            with self._lock:
                self._running = False
            raise

    def _work_off(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._running = False
                    return
                generation, step, bench = self._waiting
                self._waiting = None
            try:
                self._show(generation, step, bench)
            except Exception:  # a listener's defect; later previews must still be shown to the others
                logging.getLogger(__name__).exception("showing a preview failed")

    def _show(self, generation: int, step: Step, bench: Bench) -> None:
        progress = Progress(None, lambda: generation != self._generation)
        bench = replace(bench, context=replace(bench.context, progress=progress))
        try:
            for preview in stages(step, bench):
                if not self._offer(generation, preview):
                    return
        except Cancelled:
            return
        except WorkbenchError as error:
            self._offer(generation, Preview(step, error=str(error), done=True))
        except Exception:  # a defect is shown with its traceback, and the panel stays usable
            self._offer(generation, Preview(step, error=traceback.format_exc(), done=True))

    def _offer(self, generation: int, preview: Preview) -> bool:
        # Under the lock, so that nothing older can be published after a newer request was taken.
        with self._lock:
            if generation != self._generation:
                return False
            self._publish(preview)
            return True
