"""Places of boxes and bends of edges: a layered layout, top to bottom.

The layers and their order are found by fast-sugiyama (Sugiyama, Tagawa, Toda: "Methods for Visual Understanding of
Hierarchical System Structures", 1981).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fast_sugiyama import from_edges

from workbench.inspection.model_map.blocks import Box, View

WIDTH, HEIGHT, SMALL = 172.0, 36.0, 24.0
ACROSS, DOWN = 194.0, 54.0
MARGIN, PAD = 24.0, 14.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """A rectangle, by its middle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Drawing:
    """Where everything is.

    Attributes:
        places: Of the boxes by name.
        frames: Of the unfolded blocks by name.
        lines: For every edge its (from, to) and the points that it goes through.
        width: Of the whole.
        height: Likewise.
    """

    places: Mapping[str, Placed] = field(default_factory=dict)
    frames: Mapping[str, Placed] = field(default_factory=dict)
    lines: tuple[tuple[str, str, tuple[Point, ...]], ...] = ()
    width: float = 0.0
    height: float = 0.0


def lay_out(view: View) -> Drawing:
    """Return the places of all boxes of a folded graph."""
    order = {box.name: number for number, box in enumerate(view.boxes)}
    # A module that is called again is read by what comes before it; such edges bend back and decide no layer.
    forward = [(a, b) for a, b in view.edges if order[a] < order[b]]
    centres, bends = _layered([(order[a], order[b]) for a, b in forward])
    lowest = max((y for _, y in centres.values()), default=-DOWN)
    for number, box in enumerate(view.boxes):
        if number not in centres:  # nobody reads it, and it reads nobody
            lowest += DOWN
            centres[order[box.name]] = (0.0, lowest)
    left = min((x for x, _ in centres.values()), default=0.0) - WIDTH / 2 - MARGIN
    left = min([left, *(x - MARGIN for line in bends.values() for x, _ in line)])
    top = min((y for _, y in centres.values()), default=0.0) - HEIGHT / 2 - MARGIN
    places = {}
    for box in view.boxes:
        x, y = centres[order[box.name]]
        width = SMALL + 6.0 * max(len(box.title) - 1, 0) if box.kind == "join" else WIDTH
        places[box.name] = Placed(x - left, y - top, width, HEIGHT if box.kind in ("layer", "block") else SMALL)
    lines = []
    for a, b in view.edges:
        between = [(x - left, y - top) for x, y in bends.get((order[a], order[b]), ())]
        lines.append((a, b, _line(places[a], places[b], between)))
    frames = _frames(view.boxes, places)
    corners = [*places.values(), *frames.values()]
    width = max((one.x + one.width / 2 for one in corners), default=0.0)
    width = max([width, *(x for _, _, points in lines for x, _ in points)])
    height = max((one.y + one.height / 2 for one in corners), default=0.0)
    return Drawing(places, frames, tuple(lines), width + MARGIN, height + MARGIN)


def _layered(edges: Sequence[tuple[int, int]]) -> tuple[dict[int, Point], dict[tuple[int, int], list[Point]]]:
    """Return the middles of numbered nodes, and the points between the ends of each edge that spans layers."""
    centres: dict[int, Point] = {}
    bends: dict[tuple[int, int], list[Point]] = {}
    if not edges:
        return centres, bends
    shift = 0.0
    for positions, *_, drawn in from_edges(
        edges, vertex_spacing=1, dummy_vertices=True, dummy_size=0.5, check_layout=False
    ):
        points = {key: (float(x), float(y)) for key, (x, y) in positions}
        most = max(y for _, y in points.values())
        least = min(x for x, _ in points.values())
        scaled = {key: (shift + (x - least) * ACROSS, (most - y) * DOWN) for key, (x, y) in points.items()}
        known = {node for edge in edges for node in edge}
        centres.update({int(key): point for key, point in scaled.items() if key in known})
        after: dict[object, list[object]] = {}
        for a, b in drawn or ():
            after.setdefault(a, []).append(b)
        for start in [key for key in scaled if key in known]:
            for first in after.get(start, ()):
                chain, node = list[Point](), first
                while node not in known:
                    chain.append(scaled[node])  # type: ignore[index]  # a dummy has a place as a node has
                    node = after[node][0]
                if chain:
                    bends[int(start), int(node)] = chain
        shift = max(x for x, _ in scaled.values()) + 1.5 * ACROSS
    return centres, bends


def _line(start: Placed, end: Placed, between: list[Point]) -> tuple[Point, ...]:
    return ((start.x, start.y + start.height / 2), *between, (end.x, end.y - end.height / 2))


def _frames(boxes: Sequence[Box], places: Mapping[str, Placed]) -> dict[str, Placed]:
    """Return the frames around unfolded blocks, with room for the frames within."""
    held: dict[str, list[tuple[Placed, int]]] = {}
    for box in boxes:
        for depth, block in enumerate(reversed(box.blocks)):
            held.setdefault(block, []).append((places[box.name], depth))
    frames = {}
    for block, inside in held.items():
        pad = [PAD * (1 + 0.6 * depth) for _, depth in inside]
        left = min(one.x - one.width / 2 - p for (one, _), p in zip(inside, pad, strict=True))
        right = max(one.x + one.width / 2 + p for (one, _), p in zip(inside, pad, strict=True))
        top = min(one.y - one.height / 2 - p for (one, _), p in zip(inside, pad, strict=True))
        bottom = max(one.y + one.height / 2 + p * 0.6 for (one, _), p in zip(inside, pad, strict=True))
        frames[block] = Placed((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return frames
