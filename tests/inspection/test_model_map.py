"""The map of a model: what is joined with what, what folds, and that nothing lies on another."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from workbench.graph.modules import ModuleGraph, in_order, module_graph
from workbench.inspection.model_map import default_unfolded, fold, lay_out, layer_times
from workbench.model.layers import layers


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


class Net(nn.Module):
    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Sequential(*(Block(4) for _ in range(blocks)))
        self.side = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.body(self.stem(x)), self.side(x)], 1)
        return self.head(both.mean((2, 3)))


EXAMPLE = (torch.zeros(2, 3, 8, 8),)


@pytest.fixture(scope="module")
def graph() -> ModuleGraph:
    model = Net()
    return module_graph(model, EXAMPLE, layers(model, EXAMPLE))


def test_the_graph_has_layers_sums_and_concatenations(graph: ModuleGraph) -> None:
    named = {part.name: part for part in graph.parts}
    assert graph.note == ""
    assert [part.title for part in graph.parts if part.kind == "join"] == ["+", "+", "+", "concat"]
    assert named["body.0.first"].blocks == ("body", "body.0")
    (join,) = (part.name for part in graph.parts if part.title == "concat")
    last_sum = [part.name for part in graph.parts if part.title == "+"][-1]
    assert {a for a, b in graph.edges if b == join} == {"side", last_sum}
    assert (join, "head") in graph.edges
    assert ("stem", "body.0.first") in graph.edges
    first_sum = next(part.name for part in graph.parts if part.title == "+")
    assert {("stem", first_sum), ("body.0.second", first_sum)} <= set(graph.edges), "a residual goes round its block"
    assert not any("norm" in part.name for part in graph.parts)
    assert any({"stem", "body.0.second", "body.2.second"} <= set(group) for group in graph.coupled)


def test_blocks_fold_and_unfold(graph: ModuleGraph) -> None:
    folded = fold(graph, ())
    assert [box.title for box in folded.boxes] == ["x", "stem", "body", "side", "concat", "head", "output"]
    (body,) = (box for box in folded.boxes if box.kind == "block")
    assert len(body.layers) == 6
    inner = fold(graph, {"body"})
    assert [box.name for box in inner.boxes if box.kind == "block"] == ["body.0/", "body.1/", "body.2/"]
    assert fold(graph, {"body.1"}).boxes == folded.boxes, "what lies in a folded block stays in it"
    assert default_unfolded(graph, most=7) == frozenset()
    assert default_unfolded(graph, most=9) == {"body"}
    assert "body.2" in default_unfolded(graph, most=99)


def test_nothing_lies_on_another_and_edges_go_down(graph: ModuleGraph) -> None:
    for unfolded in ((), ("body",), default_unfolded(graph, most=99)):
        view = fold(graph, unfolded)
        drawing = lay_out(view)
        assert set(drawing.places) == {box.name for box in view.boxes}
        for one, other in combinations(drawing.places.values(), 2):
            apart = abs(one.x - other.x) >= (one.width + other.width) / 2 - 1e-6
            assert apart or abs(one.y - other.y) >= (one.height + other.height) / 2 - 1e-6
        for a, b, points in drawing.lines:
            assert [y for _, y in points] == sorted(y for _, y in points), (a, b)
            assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)
        for frame in drawing.frames.values():
            assert frame.x - frame.width / 2 >= 0
            assert frame.y + frame.height / 2 <= drawing.height


def test_what_cannot_be_traced_is_a_list() -> None:
    class Branching(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    model = Branching(1)
    found = module_graph(model, EXAMPLE, layers(model, EXAMPLE))
    assert "cannot be traced" in found.note
    assert [part.name for part in found.parts] == ["stem", "body.0.first", "body.0.second", "side", "head"]
    assert len(found.edges) == 4
    assert len(lay_out(fold(found, ())).places) == 4


def test_a_module_that_is_called_again_and_layers_that_nobody_reads_have_a_place() -> None:
    class Looped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(self.b(self.a(x))))

    model, example = Looped(), (torch.zeros(2, 4),)
    found = module_graph(model, example, layers(model, example))
    assert {("a", "b"), ("b", "a")} <= set(found.edges)
    assert set(lay_out(fold(found, ())).places) == {"x", "a", "b", "output", "idle"}


def test_a_thousand_layers_are_laid_out_at_once() -> None:
    model = Net(500)
    graph = in_order(layers(model, EXAMPLE))
    assert len(graph.parts) == 1003
    everything = {name for part in graph.parts for name in part.blocks}
    assert len(lay_out(fold(graph, everything)).places) == 1003
    assert len(fold(graph, default_unfolded(graph)).boxes) <= 18


def test_layers_are_timed() -> None:
    model = Net(1)
    found = layer_times(model, EXAMPLE, layers(model, EXAMPLE))
    assert set(found) == {"stem", "body.0.first", "body.0.second", "side", "head"}
    assert all(0 < seconds < 1 for seconds in found.values())
