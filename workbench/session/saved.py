"""What a session's file says, checked field by field before any of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.checkpoint.facts import Facts, read_json, said
from workbench.errors import WorkbenchError, shown, within
from workbench.measure import Measurement
from workbench.session.labels import StateLabel
from workbench.steps.history import History
from workbench.steps.recipe import SEEDS

FORMAT, VERSION = "workbench session", 2
READ = (1, VERSION)  # the first version said neither


@dataclass(frozen=True)
class SavedSession:
    """An earlier session.

    Attributes:
        history: The states that were tried.
        measurements: What was measured, by number of the state.
        seed: Of all chance in steps.
        labels: What people said of states, by their number.
    """

    history: History
    measurements: Mapping[int, Measurement]
    seed: int
    labels: Mapping[int, StateLabel] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, seed: int, fingerprint: str, device: str = "cpu") -> SavedSession:
        """Return the session of a file.

        Args:
            path: The file.
            seed: Where the file says none.
            fingerprint: Of the subject; what was measured of another one is left out.
            device: That numbers are wanted of; what was measured on another one is left out. Where a file says none it
                was the CPU.

        Raises:
            WorkbenchError: It cannot be read, is of a newer version, or a field is not what it has to be.
        """
        facts = read_json(path)
        with within(shown(str(path), 200)):
            return cls.read(facts, seed, fingerprint, device)

    @classmethod
    def read(cls, facts: Any, seed: int, fingerprint: str, device: str = "cpu") -> SavedSession:
        """Return the session of plain JSON; arguments and errors as in `load`."""
        of = Facts(facts, "a session")
        if of.text("format", FORMAT) != FORMAT:
            raise WorkbenchError(f'this is no session: it says "format": {said(of.get("format"))}')
        version = of.get("version", READ[0])
        if type(version) is not int or version not in READ:
            raise WorkbenchError(f"session version {said(version)} is not read; this reads {VERSION}")
        history = History.read(of.get("history"))
        measured = {_number(n): Measurement.read(value) for n, value in of.within("measurements").items()}
        same = of.within("subject", {}).text("fingerprint", fingerprint) == fingerprint
        same = same and of.text("device", "cpu") == device
        known = {n: one for n, one in measured.items() if same and n < len(history.nodes)}
        labels = {_number(n): StateLabel.read(value) for n, value in of.within("labels", {}).items()}
        labels = {n: label for n, label in labels.items() if n < len(history.nodes)}
        return cls(history, known, of.whole("seed", 0, SEEDS - 1, seed), labels)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise WorkbenchError(f"measurements go by the number of a state, not {said(text)}")
    return int(text)
