"""Blocks of a map: what lies in one module is shown as one box until it is unfolded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from workbench.graph.modules import ModuleGraph, Part

MOST = 18  # boxes that are shown before anybody unfolds anything


@dataclass(frozen=True)
class Box:
    """What is drawn as one: a part, or a folded block.

    Attributes:
        name: The part's, or the block's module.
        kind: Of the part, or "block".
        title: What people read.
        layers: Names of the layers in it.
        blocks: Unfolded blocks around it, the outermost first.
    """

    name: str
    kind: str
    title: str
    layers: tuple[str, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A graph as it is folded now."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]


def fold(graph: ModuleGraph, unfolded: Collection[str]) -> View:
    """Return a graph with every block folded but those that are named, and whose outer blocks are unfolded too."""
    inside = _layers_of_blocks(graph)
    shown: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    for part in graph.parts:
        block = _folded(part, unfolded, inside)
        name = f"{block}/" if block is not None else part.name
        shown[part.name] = name
        if name in boxes:
            continue
        around = tuple(one for one in part.blocks if one in unfolded and one in inside)
        if block is None:
            boxes[name] = Box(name, part.kind, part.title, part.layers, around)
        else:
            around = tuple(one for one in around if block.startswith(f"{one}."))
            boxes[name] = Box(name, "block", block, inside[block], around)
    edges = {(shown[a], shown[b]): None for a, b in graph.edges if shown[a] != shown[b]}
    return View(tuple(boxes.values()), tuple(edges))


def default_unfolded(graph: ModuleGraph, most: int = MOST) -> frozenset[str]:
    """Return the blocks to unfold first: level by level, as long as there are not too many boxes to take in."""
    inside = _layers_of_blocks(graph)
    unfolded: frozenset[str] = frozenset()
    for depth in range(1, 1 + max((name.count(".") + 1 for name in inside), default=0)):
        more = unfolded | {name for name in inside if name.count(".") < depth}
        if len(fold(graph, more).boxes) > most:
            return unfolded
        unfolded = more
    return unfolded


def _folded(part: Part, unfolded: Collection[str], inside: dict[str, tuple[str, ...]]) -> str | None:
    """Return the outermost folded block around a part, None where all are unfolded."""
    return next((block for block in part.blocks if block in inside and block not in unfolded), None)


def _layers_of_blocks(graph: ModuleGraph) -> dict[str, tuple[str, ...]]:
    """Return the layers of every block that holds more than one part; a block of one part is that part."""
    parts: dict[str, list[Part]] = {}
    for part in graph.parts:
        for block in part.blocks:
            parts.setdefault(block, []).append(part)
    return {
        block: tuple(dict.fromkeys(name for part in held for name in part.layers))
        for block, held in parts.items()
        if len(held) > 1 and any(part.layers for part in held)
    }
