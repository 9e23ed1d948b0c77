"""Outcomes of trials on disk, so that work that was cut short goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from workbench.search.trials.trial import Ground, Outcome
from workbench.steps import Step

FORMAT = 4  # of what is kept; raised when the order of samples or a field changes


class Kept:
    """A folder of outcomes.

    Args:
        folder: Where all are kept, None to keep nothing.
        ground: Another state, subject or seed is another place in the folder.
    """

    def __init__(self, folder: Path | None, ground: Ground) -> None:
        self._folder = folder and folder / _key(ground)

    def read(self, step: Step) -> Outcome | None:
        """Return what is known of a step, None if nothing is."""
        if self._folder is None:
            return None
        try:
            return Outcome.read(json.loads(self._file(step).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, or cut short by a kill: it is scored again

    def write(self, step: Step, outcome: Outcome) -> None:
        """Keep what is known of a step."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._file(step)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(outcome.facts()), encoding="utf-8")
            part.replace(path)

    def _file(self, step: Step) -> Path:
        assert self._folder is not None  # noqa: S101  # asked by the callers, which type checkers cannot see
        name = hashlib.sha256(json.dumps(step.facts(), sort_keys=True).encode()).hexdigest()[:16]
        return self._folder / f"{name}.json"


def _key(ground: Ground) -> str:
    subject = ground.context.subject
    facts = FORMAT, subject.fingerprint, ground.context.seed, subject.task.metric.name, ground.state.digest()
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
