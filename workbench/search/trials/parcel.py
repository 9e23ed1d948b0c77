"""What work is done on, on its way to the processes that do it.

It is written to a file once. Workers that can open the file, as all of this machine can, map its tensors into memory:
what they only read is there once, however many they are. Others get the file's bytes. It is sent as code and data
(cloudpickle), so workers must be as trusted as this process.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import io
import os
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.progress import Progress
from workbench.measure.evaluator import Evaluator
from workbench.measure.prefixes import free_share
from workbench.model.subject import Subject
from workbench.search.trials.trial import TrialContext
from workbench.steps import State
from workbench.task.device import CPU, device_named
from workbench.task.samples import Placed, at_rest
from workbench.task.task import Subset

KEPT = 8  # contents that a worker's thread keeps open
PREFIX = "workbench-"
_open = threading.local()  # what a thread has open: two that share an evaluator would meet in its cache
_arrived: OrderedDict[str, Path] = OrderedDict()  # files of what came as bytes, by digest
_arriving = threading.Lock()
_held: list[tempfile.TemporaryDirectory[str]] = []  # where these are; it goes with the process


@dataclass(frozen=True)
class Parcel:
    """Says where something lies that work is done on.

    Attributes:
        digest: Of its bytes.
        size: Their number.
        path: Of a file that goes when nobody wants the work any more, "" where none could be written.
    """

    digest: str
    size: int
    path: str

    @property
    def at_hand(self) -> bool:
        """Whether this process can open the sender's file, and it is the sender's: it holds code."""
        try:
            facts = Path(self.path).stat() if self.path else None
        except OSError:
            return False
        return facts is not None and facts.st_size == self.size and (os.name == "nt" or facts.st_uid == os.getuid())


class Outbox:
    """The parcels of one search; their files go when it is closed, or forgotten."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._written: dict[str, bytes] = {}  # what no disk had room for

    def put(self, content: Any) -> Parcel:
        """Return the parcel of something.

        Raises:
            WorkbenchError: It cannot be sent to another process.
        """
        try:
            return self._on_disk(content)
        except Exception:  # a full disk ends in many ways; where the content cannot be sent, memory refuses it too
            buffer = io.BytesIO()
            _write(content, buffer)
            digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
            self._written[digest] = buffer.getvalue()
            return Parcel(digest, len(self._written[digest]), "")

    def _on_disk(self, content: Any) -> Parcel:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        handle, name = tempfile.mkstemp(dir=self._folder.name)
        with os.fdopen(handle, "w+b") as file:
            _write(content, file)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Parcel(digest, Path(name).stat().st_size, name)

    def data(self, parcel: Parcel) -> bytes:
        """Return a parcel's bytes, for who cannot open its file."""
        return Path(parcel.path).read_bytes() if parcel.path else self._written[parcel.digest]

    def close(self) -> None:
        """Take the files away, which tells workers that can see them to stop."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()


def _write(content: Any, file: Any) -> None:
    import cloudpickle

    try:
        torch.save(content, file, pickle_module=cloudpickle)
    except Exception as error:  # pickling runs the code of whatever is in the model and the data
        raise WorkbenchError(f"the model or its data cannot be sent to other processes: {first_line(error)}") from error


def has(parcel: Parcel) -> bool:
    """Return whether this process has a parcel, or can open it."""
    return parcel.at_hand or parcel.digest in _arrived


def receive(parcel: Parcel, data: bytes) -> None:
    """Keep a parcel that came as bytes for all threads of this process, while it is one of the latest few."""
    with _arriving:
        if parcel.digest in _arrived:
            return
        if not _held:
            _held.append(tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True))
        handle, name = tempfile.mkstemp(dir=_held[0].name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        _arrived[parcel.digest] = Path(name)
        while len(_arrived) > KEPT:
            _, old = _arrived.popitem(last=False)
            with suppress(OSError):  # where what is mapped cannot be removed, it goes with the folder
                old.unlink()


def opened(parcel: Parcel, finish: Callable[[Any], Any] = lambda content: content) -> Any:
    """Return what is in a parcel that this process `has`, the same again for the same thread.

    Args:
        parcel: It comes from the process that this one works for.
        finish: Called once with what was read.
    """
    contents: OrderedDict[str, Any] = _open.__dict__.setdefault("contents", OrderedDict())
    if parcel.digest not in contents:
        path = parcel.path if parcel.at_hand else str(_arrived[parcel.digest])
        contents[parcel.digest] = finish(torch.load(path, map_location="cpu", weights_only=False, mmap=True))
    contents.move_to_end(parcel.digest)
    while len(contents) > KEPT:
        contents.popitem(last=False)
    return contents[parcel.digest]


def pack(trial_context: TrialContext, workers: int, train: bool) -> tuple[Any, ...]:
    """Return what trials are made on, to be sent, with a part of the free memory for each of some workers.

    It goes by way of the CPU and is used on a device of the same name.

    Args:
        trial_context: What is sent.
        workers: How many share a machine's memory.
        train: Whether train data goes along, for trials that train.
    """
    _by_value(trial_context.state.model)
    task = trial_context.context.subject.task
    subject, device = trial_context.context.subject.portable(train), trial_context.context.subject.device
    evaluator = trial_context.evaluator
    facts = (evaluator.worthwhile, evaluator.layout, evaluator.batch, free_share(device) // workers)
    # A part of the split goes as it is; all of it is in the task already.
    part = len(trial_context.reference.samples) < len(task.split("validation"))
    samples = trial_context.reference.samples if part else at_rest(subject.task.split("validation"))
    reference = replace(trial_context.reference, samples=samples)
    state, subject = _together(trial_context.state, subject, CPU)
    context = replace(trial_context.context, subject=subject, progress=Progress())
    return state, context, reference, facts, os.getpid(), workers, str(device)


def unpack(content: tuple[Any, ...]) -> TrialContext:
    """Return what `pack` gave, ready to be worked on in this process."""
    state, context, reference, (worthwhile, layout, batch, memory), sender, workers, name = content
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
