"""Where training was when it was cut short: kept after every epoch, so that the same step goes on from there."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from workbench.checkpoint.files import keep, remove_halves
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import Step

FORMAT = 3  # of what is kept; raised when what training needs changes
FIELDS = {"epochs": int, "now": dict, "best": dict | None, "pick": list}


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

    def read(self) -> dict[str, Any] | None:
        """Return what was kept, None if nothing was or it cannot be read: training then begins anew."""
        if self._path is None or not self._path.exists():
            return None
        try:
            facts = torch.load(self._path, weights_only=True)
        except (OSError, RuntimeError, LookupError, ValueError, AssertionError, EOFError, TypeError,
                AttributeError, pickle.UnpicklingError, zipfile.BadZipFile):  # fmt: skip
            return None  # of a damaged file torch raises whatever it trips over
        sound = isinstance(facts, dict) and all(isinstance(facts.get(name), kind) for name, kind in FIELDS.items())
        return facts if sound else None

    def write(self, facts: dict[str, Any]) -> None:
        """Keep tensors and plain values; a disk that is full or read-only costs only the going on."""
        if self._path is not None:
            keep(self._path, lambda half: torch.save(facts, half))

    def forget(self) -> None:
        """Keep nothing any more."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _key(context: Context, step: Step, state: State) -> str:
    subject = context.subject
    facts = (
        FORMAT, subject.fingerprint, subject.task.digest("train", "validation", "calibration"), context.seed,
        json.dumps(step.facts()), state.digest(),
    )  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
