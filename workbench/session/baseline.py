"""The untouched subject as a session needs it: scored once a split, prepared once a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock

from workbench.jobs.progress import Progress
from workbench.measure import Reference, refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.runtimes import RUNTIMES, Forward
from workbench.model.subject import Subject
from workbench.steps import Context, State
from workbench.task.task import Split


class Baseline:
    """What compressed states are compared with.

    Args:
        subject: Untouched.
        runtimes: What it is timed on.
        memory: Bytes for what evaluators keep of each split, None for a quarter of what is free.
    """

    def __init__(self, subject: Subject, runtimes: tuple[str, ...], memory: int | None) -> None:
        self._subject, self._runtimes, self._memory = subject, runtimes, memory
        self._references: dict[Split, Reference] = {}
        self._evaluators: dict[Split, Evaluator] = {}
        self._prepared: dict[str, Forward] | None = None
        self.refused: dict[str, str] = {}
        # The first lock is held while the baseline is scored, and progress is shown meanwhile; so nothing that a view
        # may ask for while it is drawn takes it. The evaluators' lock is never held for longer than a look.
        self._lock, self._evaluators_lock = RLock(), RLock()

    def reference(self, split: Split = "validation", progress: Progress | None = None) -> Reference:
        """Return the result on every sample of a split, computed once."""
        with self._lock:
            if split not in self._references:
                evaluator, state = self.evaluator(split), State.of(self._subject)
                reference = refer(evaluator, state, self._subject.task.metric, split, progress)
                # Only all samples together may show that the metric cannot judge them apart.
                self._subject.settle_metric(reference.metric)
                self._references[split] = reference
            return self._references[split]

    def runtimes(self) -> Mapping[str, Forward]:
        """Return the subject prepared for every runtime that takes it; `refused` then says why others do not."""
        with self._lock:
            if self._prepared is None:
                self._prepared = {}
                state, example = State.of(self._subject), Context(self._subject).example()
                for name in self._runtimes:
                    try:
                        self._prepared[name] = RUNTIMES[name].prepare_there(state, example)
                    except Exception as error:  # a runtime refuses a model in its own ways; the others still stand
                        self.refused[name] = str(error)
            return dict(self._prepared)

    def evaluator(self, split: Split = "validation") -> Evaluator:
        """Return what runs models on a split; test is scored once, so nothing of it is kept."""
        with self._evaluators_lock:
            if split not in self._evaluators:
                memory = 0 if split == "test" else self._memory
                self._evaluators[split] = Evaluator(self._subject.task.split(split), memory)
            return self._evaluators[split]

    def close(self) -> None:
        """Let go of everything that was kept."""
        with self._evaluators_lock:
            for evaluator in self._evaluators.values():
                evaluator.close()
