"""The one family of errors that people are meant to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# What terminals take for colours; libraries put it into errors.
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class WorkbenchError(Exception):
    """What was asked, why it cannot be, and what can.

    Inner code raises it with the cause only; the public door adds step, layer and shape with `within`.
    Anything that is not of this family is a defect, and is shown with its traceback.
    """

    def within(self, place: str) -> WorkbenchError:
        """Return the same error with the place where it happened in front."""
        return type(self)(f"{place}: {self}")


@contextmanager
def within(place: str) -> Iterator[None]:
    """Put the place in front of errors that are raised inside of this block."""
    try:
        yield
    except WorkbenchError as error:
        raise error.within(place) from None


@contextmanager
def enough_memory(doing: str) -> Iterator[None]:
    """Say that memory ran out while something was being done, in one line, whoever found out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # Torch says it in a RuntimeError of its own, or of a kind of its own on an accelerator.
        words = str(error).lower()
        if isinstance(error, MemoryError) or "alloc" in words or "out of memory" in words:
            raise WorkbenchError(
                f"memory ran out while {doing}; let less be kept (Settings.memory), or close other programs"
            ) from error
        raise


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, in plain letters, or its type where it says nothing.

    Of an error of the system it is what the system says, without its number and without the path once more.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (COLOURS.sub("", str(error)).strip() or type(error).__name__).splitlines()[0]


def cause_line(error: BaseException) -> str:
    """Return the first line of what began an error: of the innermost one that it was raised from."""
    seen: list[BaseException] = []
    while error.__cause__ is not None and error not in seen:
        seen.append(error)
        error = error.__cause__
    return first_line(error)


def shown(text: str, most: int = 80) -> str:
    """Return text of a file as an error may show it: on one line, and not all of it."""
    fit = text if text.isprintable() else repr(text)
    return fit if len(fit) <= most else f"{fit[:most]}..."


class Cancelled(WorkbenchError):  # noqa: N818  # as in concurrent.futures.CancelledError, it is no mistake
    """The work was stopped on request; nothing was changed."""
