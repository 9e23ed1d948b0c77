"""Processes of this machine that do work, each with a GPU of its own where there are several."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"


def processes(count: int) -> ProcessPoolExecutor:
    """Return an executor of so many processes.

    Where this machine has several CUDA devices, each process sees one of them, in turn, as its "cuda:0": a session on
    "cuda" whose work is handed to as many processes as there are devices keeps all of them busy.
    """
    # A fresh process each: one that is forked takes locks of threads along that it does not have.
    context = get_context("spawn")
    devices = visible_devices()
    if len(devices) < 2:
        return ProcessPoolExecutor(count, mp_context=context)
    turns: Any = context.Queue()
    for number in range(count):
        turns.put(devices[number % len(devices)])
    return ProcessPoolExecutor(count, mp_context=context, initializer=_see, initargs=(turns,))


def visible_devices() -> list[str]:
    """Return what names each CUDA device of this process to the driver."""
    own = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return own[:count] if own else [str(number) for number in range(count)]


def _see(turns: Any) -> None:
    """Let this process see one device alone; CUDA asks when it is first used."""
    os.environ[VISIBLE] = turns.get()
