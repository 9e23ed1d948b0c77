"""Timing one run on a device by the device's own events, and telling whether its clock fell meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import torch

from workbench.measure.disturbance import Run, Stopwatch

# A card whose clock is below this part of the fastest that was seen is throttled, or has not warmed up yet.
SLOW = 0.95


class DeviceStopwatch:
    """Times runs on a device, and watches the thread that feeds it as `Stopwatch` does: it may starve the device.

    Args:
        device: With events that have a time, as CUDA and MPS.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._thread, self._fastest = device, Stopwatch(), 0.0

    def __enter__(self) -> DeviceStopwatch:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.__exit__(kind, error, trace)

    @property
    def watches(self) -> bool:
        """Whether the system tells when a run is disturbed."""
        return self._thread.watches

    def time(self, work: Callable[[], object]) -> Run:
        """Do work and return how long the device took; all of it counts as waited for where its clock was low."""
        start, end = (torch.Event(self._device, enable_timing=True) for _ in range(2))

        def watched() -> None:
            start.record()
            work()
            end.record()
            end.synchronize()

        waited = self._thread.time(watched).waited
        seconds = start.elapsed_time(end) / 1000
        clock = clock_rate(self._device)
        self._fastest = max(self._fastest, clock)
        return Run(seconds, seconds if clock < SLOW * self._fastest else waited)


def clock_rate(device: torch.device) -> float:
    """Return the clock of a card, MHz; 0 where nothing tells it."""
    if device.type != "cuda":
        return 0.0
    try:
        return float(torch.cuda.clock_rate(device))
    except (ImportError, RuntimeError):  # the vendor's library is not installed, or does not know this card
        return 0.0


def stopwatch_of(device: torch.device) -> Stopwatch | DeviceStopwatch:
    """Return what times runs on a device."""
    return Stopwatch() if device.type == "cpu" else DeviceStopwatch(device)
