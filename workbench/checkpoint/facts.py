"""JSON that may come from anybody, read field by field: each has its type and range, or all is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown

JSON_BYTES = 64 << 20  # that a session's or recipe's file may have
LARGEST = 2**63 - 1
LONGEST = 100_000  # letters of a text
MISSING: Any = object()


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """Return what a JSON file holds, which has at most `most` bytes.

    Raises:
        WorkbenchError: It is missing, no plain file, too large, or no JSON; or it is nested too deeply.
    """
    name = shown(str(path), 200)
    with open_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise WorkbenchError(f"{name} is larger than the {most} bytes that it may have")
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise WorkbenchError(f"{name} cannot be read: it is nested too deeply") from None
    except ValueError as error:
        raise WorkbenchError(f"{name} cannot be read as JSON: {shown(first_line(error), 200)}") from error


class Facts:
    """A JSON object, whose fields are asked for by what they have to be. A field without a default has to be there.

    Args:
        value: What should be an object.
        place: What it is, for errors: "the history".

    Raises:
        WorkbenchError: It is none; from every method, that a field is missing or not what it has to be.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise WorkbenchError(f"{place} must be a JSON object, not {said(value)}")
        self._value, self._place = value, place

    def get(self, name: str, default: Any = MISSING) -> Any:
        """Return a field of any type."""
        value = self._value.get(name, default)
        if value is MISSING:
            raise WorkbenchError(f"{self._place} has no {name}")
        return value

    def flag(self, name: str, default: bool = MISSING) -> bool:
        """Return true or false."""
        return bool(self._checked(name, default, bool, "true or false"))

    def text(self, name: str, default: str = MISSING) -> str:
        """Return a text."""
        return _sound(self._checked(name, default, str, "a text"), f"{self._place}: {name}")

    def whole(self, name: str, low: int = 0, high: int = LARGEST, default: int = MISSING) -> int:
        """Return a whole number from `low` to `high`."""
        words = f"a whole number from {low} to {high}"
        value = self._checked(name, default, int, words)
        if not low <= value <= high:
            raise WorkbenchError(f"{self._place}: {name} must be {words}, not {said(value)}")
        return int(value)

    def number(self, name: str, low: float = -math.inf, default: float = MISSING, *, endless: bool = False) -> float:
        """Return a number of at least `low`, which may be infinite where it is `endless`, and is never NaN."""
        value = self._checked(name, default, int | float, "a number")
        return _number(value, f"{self._place}: {name}", low, endless)

    def number_or_none(self, name: str) -> float | None:
        """Return a number, None where there is none."""
        return None if self.get(name, None) is None else self.number(name, endless=True)

    def list(self, name: str, default: Any = MISSING) -> list[Any]:
        """Return a list."""
        return list(self._checked(name, default, list | tuple, "a list"))

    def texts(self, name: str, default: Any = MISSING) -> tuple[str, ...]:
        """Return a list of texts."""
        texts = self.list(name, default)
        if not all(isinstance(text, str) for text in texts):
            raise WorkbenchError(f"{self._place}: {name} must be a list of texts")
        return tuple(_sound(text, f"{self._place}: {name}") for text in texts)

    def within(self, name: str, default: Any = MISSING) -> Facts:
        """Return an object in this one."""
        return Facts(self.get(name, default), name)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield every name and value."""
        for name, value in self._value.items():
            if not isinstance(name, str):
                raise WorkbenchError(f"{self._place}: a name must be a text, not {said(name)}")
            yield _sound(name, f"a name in {self._place}"), value

    def _checked(self, name: str, default: Any, kind: Any, words: str) -> Any:
        value = self.get(name, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise WorkbenchError(f"{self._place}: {name} must be {words}, not {said(value)}")
        return value


def said(value: Any) -> str:
    """Return a value of JSON as an error may show it, however deep, long or large it is."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) > 2 * LARGEST:
        return "a number of many digits"
    return shown(repr(value[:LONGEST] if isinstance(value, str) else value))


def plain(value: Any, place: str) -> Any:
    """Return a true or false, a text, a list of texts, or a finite number as it is.

    Raises:
        WorkbenchError: It is something else, or too long or large.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _sound(value, place)
    if isinstance(value, list | tuple):
        return list(Facts({"it": value}, place).texts("it"))
    if isinstance(value, int | float):
        _number(value, place, -math.inf, False)
        return value
    raise WorkbenchError(f"{place} must be true, false, a number or a text, not {said(value)}")


def _sound(text: str, place: str) -> str:
    """Return a text that can be shown: half a letter, which JSON can hold, cannot be written anywhere."""
    if len(text) > LONGEST:
        raise WorkbenchError(f"{place} is a text of more than {LONGEST} letters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise WorkbenchError(f"{place} holds half a letter: {said(text)}")
    return text


def _number(value: float, place: str, low: float, endless: bool) -> float:
    if isinstance(value, int) and abs(value) > LARGEST:
        raise WorkbenchError(f"{place} must be a number below 2**63, not {said(value)}")
    number = float(value)
    if math.isnan(number) or (math.isinf(number) and not endless) or number < low:
        words = "a number" if low == -math.inf else f"a number of at least {low:g}"
        raise WorkbenchError(f"{place} must be {words}, not {said(value)}")
    return number
