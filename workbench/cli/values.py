"""What a text on the command line stands for; what it does not stand for is refused in a sentence."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def field_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} must look like field=value")
    return name.strip(), value.strip()


def several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def key_or_place(text: str) -> str | int:
    """Return a key, or a place for whole numbers."""
    return int(text) if text.lstrip("-").isdigit() else text


def numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in several(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} must be numbers with commas between them") from None


def amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text!r} must be a number of at least 0")
    return value


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text) if text.isdecimal() else low - 1
        if value < low or (high is not None and value > high):
            raise ArgumentTypeError(f"{text!r} must be a whole number from {low}" + (f" to {high}" if high else " on"))
        return value

    return read
