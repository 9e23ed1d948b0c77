"""Stopping work in the middle of a forward pass: one of a large model takes longer than people want to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from workbench.errors import Cancelled
from workbench.jobs.progress import Progress


class Interrupted(BaseException):
    """A pass was left. No error, because a runtime that fails on a model is noted as one, and kept."""


@contextmanager
def interruptible(progress: Progress) -> Iterator[None]:
    """Ask before each module that this thread calls whether to stop.

    Torch takes a slower way to a module while anybody asks so, which is seen where passes take a millisecond.

    Raises:
        Cancelled: It was told to stop.
    """
    me = get_ident()

    def ask(_: nn.Module, __: Any) -> None:
        if torch.compiler.is_compiling() or get_ident() != me:
            return
        try:
            progress.check()
        except Cancelled as stopped:
            raise Interrupted from stopped

    handle = register_module_forward_pre_hook(ask)
    try:
        yield
    except Interrupted as left:
        raise Cancelled("cancelled; nothing was changed") from left
    finally:
        handle.remove()
