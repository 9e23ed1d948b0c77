"""Seconds and memory of a piece of work, by the operating system's count."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable

import psutil


class Peak:
    """What a process takes at most above what it had."""

    def __init__(self) -> None:
        self._process, self.bytes, self._going = psutil.Process(), 0, True

    def of(self, work: Callable[[], object]) -> tuple[float, int]:
        """Return the seconds of work, and its bytes."""
        gc.collect()
        before, start = self._process.memory_info().rss, time.perf_counter()
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            work()
        finally:
            self._going = False
            thread.join()
        return time.perf_counter() - start, self.bytes - before

    def _watch(self) -> None:
        while self._going:
            self.bytes = max(self.bytes, self._process.memory_info().rss)
            time.sleep(0.005)
