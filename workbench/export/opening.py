"""Opens exported files in a process of its own: `python -m workbench.export.opening`, asked over standard input.

Whoever opens a file elsewhere has not imported the model's source, nor libraries that happen to be loaded here. A file
that needs them would pass in this process and fail in theirs.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path
from typing import IO

import torch

from workbench.errors import WorkbenchError, first_line
from workbench.export.folder import FORMATS
from workbench.export.messages import receive, send
from workbench.task.batch import leaves

IDLE = 120.0  # seconds without a request, after which the process ends


def main() -> None:
    """Answer requests until the asking process ends, or asks nothing for a while."""
    # What libraries print would be taken for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # What waits in its buffer is not seen below; but whoever asks waits for the answer before asking again.
    requests: IO[bytes] = os.fdopen(0, "rb")
    number, opened = -1, None
    while sys.platform == "win32" or select.select([requests], [], [], IDLE)[0]:
        try:
            facts, tensors = receive(requests)
        except EOFError:
            return
        try:
            if opened is None or facts["number"] != number:
                torch.set_num_threads(facts["threads"])
                number, opened = facts["number"], FORMATS[facts["format"]].read(Path(facts["folder"]))
            with torch.inference_mode():
                outputs = leaves(opened(tuple(tensors))) if tensors else []
            send(answers, {}, outputs)
        except Exception as error:  # whatever a runtime trips over is the answer
            known = isinstance(error, WorkbenchError)
            send(answers, {"error": first_line(error) if known else f"{type(error).__name__}: {first_line(error)}"})


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # the asking process has ended, or was told to
        main()
