"""What torch says of itself while it traces and converts models, kept off the screen: what fails is raised as well."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

LOGGERS = (
    "torch.fx.experimental.symbolic_shapes", "torch.export", "torch._export", "torch._dynamo", "torch.onnx",
    "onnxscript", "onnx_ir",
)  # fmt: skip


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop torch's remarks and half-made graphs, of this thread alone; what other threads write goes through."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stderr(_OfOthers(sys.stderr)):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _OfOthers:
    """A stream that drops what the thread that made it writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
