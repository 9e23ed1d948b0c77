"""Outcomes of trials on disk, so that work that was cut short goes on where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from workbench.checkpoint.files import keep, remove_halves
from workbench.errors import WorkbenchError
from workbench.search.trials.trial import Outcome, Trial, TrialContext
from workbench.steps import Need

FORMAT = 6  # of what is kept; raised when the order of samples or a field changes


class OutcomeCache:
    """A folder of outcomes. One that cannot be read or written costs the time of scoring again, and nothing else.

    Args:
        folder: Where all are kept, None to keep nothing.
        trial_context: Another state, subject, metric, seed or device is another place in the folder.
    """

    def __init__(self, folder: Path | None, trial_context: TrialContext) -> None:
        self._context = trial_context
        self._folder = folder and folder / _key(trial_context)
        if self._folder is not None:
            remove_halves(self._folder)

    def read(self, trial: Trial) -> Outcome | None:
        """Return what is known of a trial, None if nothing is."""
        if self._folder is None:
            return None
        try:
            return Outcome.read(json.loads(self._file(self._folder, trial).read_text(encoding="utf-8")))
        except (WorkbenchError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None  # absent, or cut short by a kill: it is scored again

    def write(self, trial: Trial, outcome: Outcome) -> None:
        """Keep what is known of a trial."""
        if self._folder is not None:
            text = json.dumps(outcome.facts())
            keep(self._file(self._folder, trial), lambda half: half.write_text(text, encoding="utf-8"))

    def _file(self, folder: Path, trial: Trial) -> Path:
        facts = [[step.facts(), step.outside()] for step in trial]
        subject, needs = self._context.context.subject, {need for step in trial for need in step.needs()}
        # Data that a step looks at is a part of what its outcome depends on, beside that on which it is scored.
        data = subject.task.digest("calibration") if Need.CALIBRATION in needs else ""
        data += subject.task.digest("train") if Need.TRAIN in needs else ""
        name = hashlib.sha256(json.dumps([facts, data], sort_keys=True).encode()).hexdigest()[:16]
        return folder / f"{name}.json"


def _key(trial_context: TrialContext) -> str:
    subject = trial_context.context.subject
    seed, device = trial_context.context.seed, str(subject.device)
    facts = FORMAT, subject.fingerprint, seed, trial_context.state.digest(), device
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
