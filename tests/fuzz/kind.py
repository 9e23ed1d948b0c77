"""What a kind of input is, to the fuzzer."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

KINDS: dict[str, type[Kind]] = {}


class Kind(ABC):
    """One kind of input that people get from others: how to damage it, and what reads it.

    A file in `tests/fuzz/kinds` holds one, and a line in `tests/fuzz/fuzz.py` takes it up.
    """

    name: ClassVar[str]
    allowed: ClassVar[tuple[str, ...]] = ()  # beginnings of what `watch` sees and is all right here

    def __init_subclass__(cls) -> None:
        KINDS[cls.name] = cls

    @abstractmethod
    def prepare(self, home: Path) -> None:
        """Write good inputs into an empty folder, and read each, so that everything that loads late is loaded."""

    @abstractmethod
    def mutant(self, rng: random.Random, place: Path) -> str:
        """Write a damaged input to `place`, which is not there yet, and return what was done, for people."""

    @abstractmethod
    def read(self, place: Path) -> Any:
        """Read it, as a user would, and return what comes out.

        Raises:
            WorkbenchError: The input was refused; anything else that is raised is a defect.
        """

    @abstractmethod
    def use(self, made: Any) -> None:
        """Use what came out of the last mutant; nothing may be raised here."""
