"""What people read in a terminal: tables, and one line of progress."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TextIO

from workbench import formatting
from workbench.jobs.progress import Tick

SPARSE_SECONDS = 10.0
FRESH_SECONDS = 0.1


def width() -> int:
    """Return how many characters fit a line: the terminal's, and a readable hundred elsewhere."""
    return min(shutil.get_terminal_size((100, 24)).columns, 120)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows of text under their heads, columns aligned; those numbered in `right` to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(heads), line(["─" * width for width in widths]), *(line(row) for row in lines[1:])])


class ProgressLine:
    """Shows ticks: on a terminal one line that is written over, elsewhere a line now and then.

    Args:
        stream: Where to.
        quiet: Show nothing.
    """

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._terminal = stream.isatty()
        self._last = -float("inf")
        self._shown = ""

    def __call__(self, tick: Tick) -> None:
        """Show where the work is, unless something was shown a moment ago."""
        now = time.monotonic()
        if self._quiet or now - self._last < (FRESH_SECONDS if self._terminal else SPARSE_SECONDS):
            return
        self._last = now
        seconds = tick.seconds_left or 0.0
        left = f", {formatting.seconds(seconds)} left" if seconds >= 1 else ""
        text = f"{tick.done:4.0%} {tick.message}{left}"
        if not self._terminal:
            print(text, file=self._stream, flush=True)
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(len(self._shown)), end="", file=self._stream, flush=True)
        self._shown = text

    def clear(self) -> None:
        """Take the line away, so that what follows begins on an empty one."""
        if self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=self._stream, flush=True)
            self._shown = ""
