"""Trials on other processes or machines, through any `concurrent.futures.Executor`.

What trials are made on is sent once to each worker: a worker that does not have it says so and gets the same work
again with it. It is sent as code and data (cloudpickle), so workers must be as trusted as this process.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from torch import nn

from workbench.errors import Cancelled, WorkbenchError, first_line
from workbench.jobs.progress import Progress
from workbench.measure.evaluator import Evaluator
from workbench.measure.prefixes import free_share
from workbench.model.subject import Subject
from workbench.search.trials.trial import Outcome, Tolerance, Trial, TrialContext, advance, clear, unclear
from workbench.steps import State
from workbench.task.device import CPU, device_named
from workbench.task.samples import Placed, at_rest
from workbench.task.task import Subset

KEPT_CONTEXTS = 2
POLL_SECONDS = 0.2
_contexts: OrderedDict[str, TrialContext] = OrderedDict()

Work = list[tuple[int, Trial, Outcome | None]]


def width_of(executor: Executor | None) -> int:
    """Return how many pieces of work an executor does at a time, 1 without one; as many as cores if it does not say."""
    if executor is None:
        return 1
    client = getattr(executor, "_client", None)  # of Dask, whose workers may be anywhere
    if client is not None:
        return max(int(sum(client.nthreads().values())), 1)
    return max(int(getattr(executor, "_max_workers", 0) or os.cpu_count() or 1), 1)


def run_on(
    executor: Executor,
    trial_context: TrialContext,
    trials: Sequence[Trial],
    tolerance: Tolerance,
    outcomes: Mapping[int, Outcome],
    seconds: float | None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (number, outcome) as `run_trials` does, from an executor's workers.

    Raises:
        WorkbenchError: The model or data cannot be sent, or a worker failed.
        Cancelled: It was told to stop; what workers are at goes on to its end and is dropped.
    """
    wide = width_of(executor)
    payload = pack(trial_context, wide)
    sender = _Sender(executor, hashlib.sha256(payload).hexdigest(), payload, tolerance)
    progress, start = trial_context.context.progress, time.monotonic()
    todo = [
        n for n in range(len(trials)) if n not in outcomes or (seconds is None and not clear(outcomes[n], tolerance))
    ]
    # Trials that differ in their strength alone are one piece of work: they share a place in the model, or a ranking.
    groups = [list(group) for _, group in groupby(todo, key=lambda n: _without_strength(trials[n]))]
    try:
        for group in groups:
            sender.send([(n, trials[n], outcomes.get(n)) for n in group], None if seconds is None else 1)
        yield from sender.results(progress)
        while seconds is not None and time.monotonic() - start < seconds:
            some = unclear(outcomes, tolerance)[:wide]
            if not some:
                return
            for n in some:
                sender.send([(n, trials[n], outcomes[n])], 1)
            yield from sender.results(progress)
    finally:
        sender.stop()


def _without_strength(trial: Trial) -> list[dict[str, Any]]:
    return [{name: value for name, value in step.facts().items() if name != step.strength} for step in trial]


class _Sender:
    """Work that is under way."""

    def __init__(self, executor: Executor, digest: str, payload: bytes, tolerance: Tolerance) -> None:
        self._executor, self._digest, self._payload, self._tolerance = executor, digest, payload, tolerance
        self._under_way: dict[Future[list[tuple[int, Outcome]] | None], tuple[Work, int | None]] = {}

    def send(self, jobs: Work, looks: int | None, payload: bytes | None = None) -> None:
        future = self._executor.submit(work, self._digest, payload, jobs, self._tolerance, looks)
        self._under_way[future] = (jobs, looks)

    def results(self, progress: Progress) -> Iterator[tuple[int, Outcome]]:
        while self._under_way:
            progress.check()
            done, _ = wait(self._under_way, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                jobs, looks = self._under_way.pop(future)
                try:
                    outcomes = future.result()
                except (WorkbenchError, Cancelled):
                    raise
                except Exception as error:  # a worker fails in as many ways as there are executors
                    raise WorkbenchError(f"a worker of the executor failed: {first_line(error)}") from error
                if outcomes is None:
                    self.send(jobs, looks, self._payload)
                else:
                    yield from outcomes

    def stop(self) -> None:
        for future in self._under_way:
            future.cancel()


def work(
    digest: str, payload: bytes | None, jobs: Work, tolerance: Tolerance, looks: int | None
) -> list[tuple[int, Outcome]] | None:
    """Return the outcomes of some trials; None if this worker has not got what they are made on."""
    if digest not in _contexts:
        if payload is None:
            return None
        _contexts[digest] = unpack(payload)
        while len(_contexts) > KEPT_CONTEXTS:
            _contexts.popitem(last=False)
    trial_context = _contexts[digest]
    trial_context.evaluator.anchor(trial_context.state)
    return [(number, advance(trial_context, trial, before, tolerance, looks)) for number, trial, before in jobs]


def pack(trial_context: TrialContext, workers: int, whole: bool = False) -> bytes:
    """Return what trials are made on as bytes, with a part of the free memory for each of some workers.

    It goes by way of the CPU and is used on a device of the same name.

    Args:
        trial_context: What is sent.
        workers: How many share a machine's memory.
        whole: Whether train data goes along, for trials that train.

    Raises:
        WorkbenchError: The model or data cannot be sent to another process.
    """
    import cloudpickle

    _by_value(trial_context.state.model)
    task = trial_context.context.subject.task
    subject, device = trial_context.context.subject.portable(train=whole), trial_context.context.subject.device
    evaluator = trial_context.evaluator
    facts = (evaluator.worthwhile, evaluator.layout, evaluator.batch, free_share(device) // workers)
    # A part of the split goes as it is; all of it is in the task already.
    part = len(trial_context.reference.samples) < len(task.split("validation"))
    samples = trial_context.reference.samples if part else at_rest(subject.task.split("validation"))
    reference = replace(trial_context.reference, samples=samples)
    state, subject = _together(trial_context.state, subject, CPU)
    context = replace(trial_context.context, subject=subject, progress=Progress())
    try:
        return bytes(cloudpickle.dumps((state, context, reference, facts, os.getpid(), workers, str(device))))
    except Exception as error:  # pickling runs the code of whatever is in the model and the data
        raise WorkbenchError(f"the model or its data cannot be sent to other processes: {first_line(error)}") from error


def unpack(payload: bytes) -> TrialContext:
    """Return what `pack` made, ready to be worked on in this process."""
    import cloudpickle

    # What is loaded here was sent by the process that this worker works for.
    state, context, reference, (worthwhile, layout, batch, memory), sender, workers, name = cloudpickle.loads(payload)
    state, subject = _together(state, context.subject, device_named(name))
    context = replace(context, subject=subject)
    if subject.device != CPU and not isinstance(reference.samples, Subset):  # a part of placed samples is placed
        reference = replace(reference, samples=Placed(reference.samples, subject.device))
    if os.getpid() != sender:
        torch.set_num_threads(max((os.cpu_count() or 1) // workers, 1))
    evaluator = Evaluator(reference.samples, memory)
    evaluator.worthwhile, evaluator.layout, evaluator.batch = worthwhile, layout, batch
    return TrialContext(state, context, reference, evaluator)


def _together(state: State, subject: Subject, device: torch.device) -> tuple[State, Subject]:
    """Return both on a device; a state whose model is the subject's own has it there too."""
    there = subject.on(device)
    if state.model is not subject.model:
        return state.on(device), there
    codings = {name: coding.on(device) for name, coding in state.codings.items()}
    return replace(state, model=there.model, codings=codings), there


def _by_value(model: nn.Module) -> None:
    """Have classes from files that a worker cannot import sent as they are."""
    import cloudpickle

    for name in {type(module).__module__ for module in model.modules()}:
        root = name.partition(".")[0]
        if name != "__main__" and name in sys.modules and importlib.machinery.PathFinder.find_spec(root) is None:
            cloudpickle.register_pickle_by_value(sys.modules[name])
