"""Subjects that come with the package: trained networks with their data, for a first run offline."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from workbench.errors import WorkbenchError
from workbench.loading.embedded.digits_data import CLASSES, MEAN, STD, digits
from workbench.loading.embedded.resnet import digits_resnet
from workbench.loading.embedded.transformer import digits_transformer
from workbench.model.subject import Subject
from workbench.task.task import Task

# Untrained, by name; the file of trained weights bears the same name.
NETS: dict[str, Callable[[], nn.Module]] = {
    "digits-resnet": digits_resnet,
    "digits-transformer": digits_transformer,
}
NAMES: tuple[str, ...] = tuple(NETS)


def build(name: str) -> Subject:
    """Return a new subject: the trained network in evaluation mode; each split is made when it is first read.

    Raises:
        WorkbenchError: There is no such subject.
    """
    if name not in NETS:
        raise WorkbenchError(f"no embedded subject {name!r}: there are {', '.join(NAMES)}")
    model = NETS[name]()
    model.load_state_dict(load_file(weights_path(name)))
    return Subject(name, model.eval(), _task(), source=name)


def weights_path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.safetensors")


def _task() -> Task:
    return Task(
        train=partial(digits, "train"),
        validation=partial(digits, "validation"),
        test=partial(digits, "test"),
        classes=CLASSES,
        mean=MEAN,
        std=STD,
        name="digits",
    )
