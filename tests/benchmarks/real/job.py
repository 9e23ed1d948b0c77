"""What a job is: data and a net for one kind of work, what is done to it, and who else scores it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from workbench.task.batch import Tree

FLOAT = "float"
# A name by which a file is given on the command line, and where it lies.
Paths = Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """One kind of real work.

    Attributes:
        name: By which it is chosen and kept.
        files: Options that say where its data lies.
        subject: From these files and a folder, in which trained weights are kept, to the float subject.
        rows: What is done to it, by name; the first, with no steps, is the float net.
        judge: The score of outputs and targets by another library.
        tolerance: What that score may differ from the session's by.
        others: Further figures of outputs and targets, by name.
    """

    name: str
    files: tuple[str, ...]
    subject: Callable[[Paths, Path], wb.Subject]
    rows: Mapping[str, tuple[wb.Step, ...]]
    judge: Callable[[Tree, Tree], float]
    tolerance: float = 1e-6
    others: Mapping[str, Callable[[Tree, Tree], float]] = field(default_factory=dict)


def trained(name: str, net: nn.Module, task: wb.Task, steps: Sequence[wb.Step], folder: Path) -> wb.Subject:
    """Return a subject with trained weights: those that are kept in the folder, or else trained by these steps."""
    # Another net or another training makes other weights; other data has to be told apart by whoever gives it.
    key = hashlib.sha256(f"{net} {list(steps)}".encode()).hexdigest()[:12]
    path = folder / f"weights-{key}.safetensors"
    if not path.is_file():
        session = wb.Session(
            wb.Subject(name, net.eval(), task), wb.Settings(runtimes=()), threaded=False, autosave=None
        )
        for step in steps:
            measured = session.apply(step)
            print(f"\n{name}: trained to {measured.score.metric} {measured.score.value:.4f} on validation")
        save_file({key: value.contiguous() for key, value in session.state.model.state_dict().items()}, path)
        session.close()
    net.load_state_dict(load_file(path))
    return wb.Subject(name, net.eval(), task)


def dealt(count: int, seed: int, *parts: int) -> list[npt.NDArray[np.int64]]:
    """Return the numbers 0 to `count`, shuffled by a seed: so many for each part, and what is left as the last one."""
    order = np.random.default_rng(seed).permutation(count)
    return np.split(order, np.cumsum(parts))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a net whose weights chance cannot change from run to run."""
    torch.manual_seed(0)
    return make()
