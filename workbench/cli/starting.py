"""What is done before PyTorch is imported, which takes seconds: a sign of life, and what can be refused by then."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.loading.named import check_named, is_file

LOOPBACK = "127.0.0.1"
PART = re.compile(r"(?P<path>.+)\[[^\]]*\]")  # data.npz[:5000], weights.pth[ema]


def say(words: str) -> None:
    """Tell on stderr what begins, unless PyTorch is there already."""
    if "torch" not in sys.modules:
        print(f"workbench: {words} …", file=sys.stderr, flush=True)


def check(chosen: Namespace) -> None:
    """Refuse names and paths that lead nowhere.

    Raises:
        WorkbenchError: No subject is named, or two; nothing of its name is known; or a file is missing.
    """
    if "subject_option" in chosen:
        if bool(chosen.subject) == bool(chosen.subject_option):
            raise WorkbenchError("name one subject: `workbench run SUBJECT --recipe FILE`")
        chosen.subject = chosen.subject or chosen.subject_option
    if "subject" in chosen:
        check_named(chosen.subject)
    for field in ("recipe", "improve"):
        if (path := getattr(chosen, field, None)) and not is_file(Path(path)):
            raise WorkbenchError(f"{path} cannot be read as a recipe: it is missing")
    if (path := getattr(chosen, "checkpoint", None)) and not _there(path):
        raise WorkbenchError(f"there is no checkpoint {path}")
    for field in ("validation", "train", "test"):
        if (path := getattr(chosen, field, None)) and not _there(path):
            raise WorkbenchError(f"{path} is missing")


def _there(path: str) -> bool:
    part = PART.fullmatch(path)
    try:
        return Path(path).exists() or (part is not None and Path(part["path"]).exists())
    except (OSError, ValueError):  # no file can have such a name
        return False
