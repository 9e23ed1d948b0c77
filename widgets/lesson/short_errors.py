"""What a test of a lesson says, as a sentence: learners look for it at the end of a traceback, or do not look."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from IPython import get_ipython

from widgets.lesson.emphasis import plain

EXPECTED = (AssertionError, NotImplementedError)


def shorten_errors(empty: str, shell: Any = None) -> None:
    """Let the running notebook show failed tests and code that is not written yet without their traceback.

    Args:
        empty: What is said of code that is not written yet.
        shell: IPython's; by default the running one, if there is one.
    """
    shell = shell or get_ipython()
    if shell is None:
        return

    def tell(
        shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> list[str]:
        said = str(error) or (empty if issubclass(kind, NotImplementedError) else "")
        if not said:  # an assertion without words: where it is, is all that it says
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
            return []
        lines = [f"✗ {plain(said)}"]
        shell._showtraceback(kind, said, lines)
        return lines

    shell.set_custom_exc(EXPECTED, tell)
