"""Where training was when it was cut short: kept after every epoch, so that the same step goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import Step

FORMAT = 2  # of what is kept; raised when what training needs changes


class Place:
    """A file that holds where a step on a state was.

    Args:
        context: Gives the folder; None for keeping nothing.
        step: With its options.
        state: What the step started from.
    """

    def __init__(self, context: Context, step: Step, state: State) -> None:
        self._path: Path | None = None
        if context.folder is not None:
            self._path = context.folder / f"{_key(context, step, state)}.pt"

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all; what would be costly to gather need not be for nothing."""
        return self._path is not None

    def read(self) -> dict[str, Any] | None:
        """Return what was kept, None if nothing was or it cannot be read."""
        if self._path is None or not self._path.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(self._path, weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None  # training begins anew, which loses time and nothing else
        return found

    def write(self, facts: dict[str, Any]) -> None:
        """Keep tensors and plain values; a crash in the middle leaves what was there before."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            half = self._path.with_suffix(f".{os.getpid()}.part")
            torch.save(facts, half)
            half.replace(self._path)

    def forget(self) -> None:
        """Keep nothing any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _key(context: Context, step: Step, state: State) -> str:
    facts = FORMAT, context.subject.fingerprint, context.seed, json.dumps(step.facts()), state.digest()
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
