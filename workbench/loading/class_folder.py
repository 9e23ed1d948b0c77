"""Files in one folder a class, whatever they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from workbench.errors import WorkbenchError


class ClassFolder(Dataset[tuple[Tensor, int]]):
    """Samples that are files, read when they are needed; a subclass says how.

    Args:
        root: Holds the folders; their names are the classes.
        suffixes: Of the files that count, in small letters.
        what: What the files hold, for a message.
        kind: What the files are, for a message.

    Raises:
        WorkbenchError: There is no such file.
    """

    def __init__(self, root: Path, suffixes: Collection[str], what: str, kind: str) -> None:
        self.classes = sorted(path.name for path in root.iterdir() if path.is_dir())
        self.files = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in suffixes
        ]
        if not self.files:
            raise WorkbenchError(f"{root} holds no {what}; it must have one folder of {kind} for each class")
        self.targets = torch.tensor([label for _, label in self.files])

    def __len__(self) -> int:
        return len(self.files)

    def settings(self) -> tuple[Any, ...]:
        """Return what decides, beside the files, what a sample is."""
        return ()

    def digest(self) -> str:
        """Return hex digits that change when a file does, by its size and time: reading all would take minutes."""
        stats = [(str(path), label, path.stat().st_size, path.stat().st_mtime_ns) for path, label in self.files]
        return hashlib.sha256(repr((stats, *self.settings())).encode()).hexdigest()
