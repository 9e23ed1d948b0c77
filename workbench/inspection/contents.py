"""What a file holds, before anything is made of it. Nothing in it is run, and no array is read."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from workbench import formatting
from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown
from workbench.loading.npz import HEADERS
from workbench.loading.weights import state_dict

WEIGHTS = (".safetensors", ".pt", ".pth", ".th")
NEEDED = ("images", "labels")
LISTED, SOURCE = 6, 1 << 20


@dataclass(frozen=True)
class Contents:
    """What is said of a file.

    Attributes:
        kind: "model", "checkpoint", "data" or "".
        lines: What it holds.
        choices: What of it can be taken: the factories of a Python file.
        missing: What it lacks for its use, "" for nothing.
    """

    kind: str
    lines: tuple[str, ...]
    choices: tuple[str, ...] = ()
    missing: str = ""


def contents_of(path: Path) -> Contents:
    """Return what a file or folder holds.

    Raises:
        WorkbenchError: It cannot be read.
    """
    try:
        if path.is_dir():
            return _folder(path)
        ending = path.suffix.lower()
        if ending == ".py":
            return _python(path)
        if ending == ".npz":
            return _arrays(path)
        if ending in WEIGHTS:
            return _tensors(path)
        return Contents("", (formatting.size(path.stat().st_size),), missing="it is no file that is read here")
    except WorkbenchError:
        raise
    except Exception as error:  # readers of archives and of Python raise whatever they trip over
        raise WorkbenchError(f"{shown(str(path), 200)} cannot be read: {shown(first_line(error), 200)}") from error


def _folder(path: Path) -> Contents:
    inside = sorted(entry.name for entry in path.iterdir())
    if "graph.json" in inside or "recipe.json" in inside:
        return Contents("model", ("a folder that an export wrote",), (str(path),))
    classes = [name for name in inside if (path / name).is_dir() and not name.startswith(".")]
    words = f"{len(classes)} folders, one a class: {_some(classes)}" if classes else f"{len(inside)} files"
    return Contents("data" if classes else "", (words,))


def _python(path: Path) -> Contents:
    with open_file(path) as stream:
        tree = ast.parse(stream.read(SOURCE).decode("utf-8"))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    callable_ = [n.name for n in functions if len(n.args.defaults) == len(n.args.posonlyargs) + len(n.args.args)]
    classes = [n.name for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    lines = tuple(
        f"{what}: {_some(names)}"
        for what, names in (("functions without arguments", callable_), ("classes", classes))
        if names
    )
    choices = tuple(f"{path}:{name}" for name in (*callable_, *classes))
    missing = "" if choices else "it has no function or class that could make a model"
    return Contents("model", lines, choices, missing)


def _arrays(path: Path) -> Contents:
    lines, names, lengths = list[str](), list[str](), dict[str, int]()
    with open_file(path) as stream, ZipFile(stream) as archive:
        for entry in archive.namelist():
            name = entry.removesuffix(".npy")
            names.append(name)
            if len(lines) == LISTED and name not in NEEDED:
                continue
            with archive.open(entry) as file:
                shape, _, kind = HEADERS[np.lib.format.read_magic(file)](file)
            lengths[name] = shape[0] if shape else 0
            lines.append(f"{name}: {kind}, {' × '.join(map(str, shape)) or 'one value'}")
    lacking = [name for name in NEEDED if name not in names]
    missing = f"data needs arrays called images and labels; {' and '.join(lacking)} missing" if lacking else ""
    if not lacking and lengths["images"] != lengths["labels"]:
        missing = f"there are {lengths['images']:,} images and {lengths['labels']:,} labels"
    return Contents("data", tuple(lines), missing=missing)


def _tensors(path: Path) -> Contents:
    held = state_dict(path)
    values = sum(value.numel() for value in held.values())
    first = tuple(f"{name}: {' × '.join(map(str, held[name].shape))}" for name in list(held)[:LISTED])
    more = (f"and {len(held) - LISTED} more",) if len(held) > LISTED else ()
    missing = "" if held else "it holds no tensors"
    head = f"{len(held)} tensors, {formatting.count(values)} values, {formatting.size(path.stat().st_size)}"
    return Contents("checkpoint", (head, *first, *more), missing=missing)


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
