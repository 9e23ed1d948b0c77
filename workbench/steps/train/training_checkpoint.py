"""Where training was when it was cut short: kept after every epoch, so that the same step goes on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import torch

from workbench.checkpoint.files import keep, open_for_torch, remove_halves
from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import Step
from workbench.task.device import CPU, device_of, moved

FORMAT = 5  # of what is kept; raised when what training needs changes
FIELDS = {"epochs", "now", "best", "pick"}


class TrainingCheckpoint:
    """A file that holds where a step on a state was.

    Args:
        context: Gives the folder; None for keeping nothing.
        step: With its options.
        state: What the step started from.
    """

    def __init__(self, context: Context, step: Step, state: State) -> None:
        self._path: Path | None = None
        if context.folder is not None:
            remove_halves(context.folder)
            self._path = context.folder / f"{_key(context, step, state)}.pt"

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all; what would be costly to gather need not be for nothing."""
        return self._path is not None

    def read(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        """Return what was kept, None if nothing was or it is of no use: training then begins anew.

        Args:
            fits: Whether facts are of this training; asked before anything of them is used, and a file that holds
                others is told in the log.
        """
        if self._path is None:
            return None
        try:
            facts = _loaded(self._path) if self._path.exists() else None
        except Exception as error:  # of a damaged file torch raises whatever it trips over
            self._tell(first_line(error))
            return None
        if facts is not None and not fits(facts):
            self._tell("it is not of this training")
            return None
        return facts

    def _tell(self, reason: str) -> None:
        logging.getLogger(__name__).warning(
            "what was kept of a training in %s is of no use, and it begins anew: %s",
            shown(str(self._path), 200), shown(reason, 200),
        )  # fmt: skip

    def write(self, facts: dict[str, Any]) -> None:
        """Keep tensors and plain values; a disk that is full or read-only costs only the going on."""
        if self._path is not None:
            keep(self._path, lambda half: _save(facts, half))

    def forget(self) -> None:
        """Keep nothing any more."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _save(facts: dict[str, Any], path: Path) -> None:
    with open_for_torch(path) as file:
        torch.save(moved(facts, CPU), cast(IO[bytes], file))


def _loaded(path: Path) -> dict[str, Any]:
    """Return tensors and plain values of a file, never code.

    Raises:
        Exception: It is damaged or foreign.
    """
    with open_file(path) as file:
        with zipfile.ZipFile(file) as archive:  # as torch writes it, with members that are as large as what they hold
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise WorkbenchError("its members are packed")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of how it was saved
            facts = torch.load(file, map_location=CPU, weights_only=True)
    if type(facts) is not dict or facts.keys() != FIELDS:
        raise WorkbenchError("it holds other things")
    return facts


def _key(context: Context, step: Step, state: State) -> str:
    subject = context.subject
    facts = (
        FORMAT, subject.fingerprint, subject.task.digest("train", "validation", "calibration"), context.seed,
        json.dumps(step.facts()), step.outside(), state.digest(), str(device_of(state.model)),
    )  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
