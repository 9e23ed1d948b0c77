"""Names from a file as names of modules and parameters.

A name may be any text. What torch later makes of a module's names (attributes, source of traced graphs) is safe only
for plain ones, so any other is replaced by a plain one that resembles it.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable

from torch import nn

from workbench.errors import WorkbenchError
from workbench.graph.reader.limits import DEPTH, NAME

# What can stand between double quotes in source and means nothing there.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ :+/-]*")


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Return for every dotted name the one that its tensor gets in a module; most are kept.

    Raises:
        WorkbenchError: A name is longer or deeper than names are, or one is the path of a module that holds another.
    """
    every = list(dict.fromkeys(names))
    parts: dict[str, list[str]] = {}
    for name in every:
        parts[name] = name.split(".")
        if len(name) > NAME or len(parts[name]) > DEPTH:
            raise WorkbenchError(
                f"the graph names a tensor {name[:40]!r}..., of {len(name)} characters in {len(parts[name])} parts; "
                f"{NAME} in {DEPTH} may be"
            )
    folders = {tuple(path[:end]) for path in parts.values() for end in range(1, len(path))}
    both = [name for name in every if tuple(parts[name]) in folders]
    if both:
        raise WorkbenchError(f"the graph names {both[0][:40]!r} as a tensor and as what holds one")
    plain: dict[tuple[str, ...], str] = {}
    taken: dict[tuple[str, ...], set[str]] = {}
    numbers: Counter[tuple[str, ...]] = Counter()
    # Plain parts first, so that only the others move out of each other's way.
    paths = [tuple(path[:end]) for path in parts.values() for end in range(1, len(path) + 1)]
    for path in sorted(dict.fromkeys(paths), key=lambda path: not _is_plain(path[-1])):
        used = taken.setdefault(path[:-1], set())
        plain[path] = path[-1] if _is_plain(path[-1]) else _resembling(path, used, numbers)
        used.add(plain[path])
    return {name: ".".join(plain[tuple(path[:end])] for end in range(1, len(path) + 1)) for name, path in parts.items()}


def _is_plain(part: str) -> bool:
    if part.isidentifier():
        same = unicodedata.normalize("NFKC", part) == part
        return same and not keyword.iskeyword(part) and not hasattr(_RESERVED, part)
    return PLAIN.fullmatch(part) is not None


def _resembling(path: tuple[str, ...], used: Container[str], numbers: Counter[tuple[str, ...]]) -> str:
    """Return a plain name that is not used; `numbers` counts those of each stem, so that none is tried twice."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", path[-1])[:40].strip("_") or "layer"
    while True:
        numbers[*path[:-1], stem] += 1
        name = f"{stem}_{numbers[*path[:-1], stem]}"
        if _is_plain(name) and name not in used:
            return name


class _Reserved(nn.Module):
    """A module with everything that a loaded one has beside its tensors and layers."""

    _steps = _owner = None


_RESERVED = _Reserved()
