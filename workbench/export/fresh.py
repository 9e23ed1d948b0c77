"""Exported files, opened in a process that has not imported the model: the asking side of `opening`."""

from __future__ import annotations

import atexit
import itertools
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.export.messages import receive, send
from workbench.measure.runtimes import Forward
from workbench.task.batch import Tree, judged


class FreshProcess:
    """A process that opens files. It is started when it is first asked, serves all exports, and ends when idle."""

    def __init__(self) -> None:
        self._lock, self._numbers = Lock(), itertools.count()
        self._running: subprocess.Popen[bytes] | None = None

    def opened(self, name: str, folder: Path) -> Forward:
        """Return the forward of a file of a format, run over there.

        Raises:
            WorkbenchError: It cannot be opened without the model's source; from the forward, that it cannot be run.
        """
        # Told with every request: another export may have another file opened in between.
        file = {
            "number": next(self._numbers), "format": name, "folder": str(folder.absolute()),
            "threads": torch.get_num_threads(),
        }  # fmt: skip
        self._ask(file)

        def forward(inputs: tuple[Tensor, ...]) -> Tree:
            outputs = self._ask(file, inputs)
            return outputs[0] if len(outputs) == 1 else judged(tuple(outputs), inputs)

        return forward

    def close(self) -> None:
        """End the process."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            for stream in (self._running.stdin, self._running.stdout):
                if stream is not None:
                    stream.close()
            self._running = None

    def _ask(self, file: dict[str, Any], tensors: tuple[Tensor, ...] = ()) -> list[Tensor]:
        with self._lock:
            if self._running is None or self._running.poll() is not None:
                self.close()
                self._running = self._started()
            running = self._running
            try:
                assert running.stdin is not None and running.stdout is not None  # noqa: S101, PT018  # they are pipes
                send(running.stdin, file, tensors)
                answer, outputs = receive(running.stdout)
            except (OSError, EOFError) as error:
                self.close()
                raise WorkbenchError("the process in which exported files are opened has died, as of memory") from error
        if "error" in answer:
            raise WorkbenchError(f"in a process without the model's source: {answer['error']}")
        return outputs

    @staticmethod
    def _started() -> subprocess.Popen[bytes]:
        # What of this process's folders it needs to find the workbench, whichever way that was found here.
        root = Path(__file__).resolve().parents[2]
        code = f"import sys; sys.path.insert(0, {str(root)!r}); from workbench.export.opening import main; main()"
        return subprocess.Popen(  # noqa: S603  # our own module, by this interpreter
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=root,
        )  # fmt: skip


FRESH = FreshProcess()
atexit.register(FRESH.close)
