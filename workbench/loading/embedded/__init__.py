"""Subjects that come with the package: trained networks with their data, for a first run offline."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from workbench.errors import WorkbenchError
from workbench.loading.embedded.subjects import SUBJECTS
from workbench.model.subject import Subject

NAMES: tuple[str, ...] = tuple(SUBJECTS)


def build(name: str) -> Subject:
    """Return a new subject: the trained network in evaluation mode; each split is made when it is first read.

    Raises:
        WorkbenchError: There is no such subject.
    """
    if name not in SUBJECTS:
        raise WorkbenchError(f"no embedded subject {name!r}: there are {', '.join(NAMES)}")
    model = SUBJECTS[name].net()
    model.load_state_dict(load_file(weights_path(name)))
    return Subject(name, model.eval(), SUBJECTS[name].task(), source=name)


def weights_path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.safetensors")
