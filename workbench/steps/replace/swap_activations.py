"""Smooth activations swapped for cheap ones.

Howard et al.: "Searching for MobileNetV3", 2019, section 5.2: SiLU and sigmoid as pieces of straight lines (hardswish,
hardsigmoid). GELU is x σ(1.702 x) to two hundredths (Hendrycks and Gimpel: "Gaussian Error Linear Units", 2016), and
so x hardsigmoid(1.702 x). Going on to ReLU changes more, wants training, and lets zeros through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch.fx import Graph, Node

from workbench.errors import WorkbenchError
from workbench.graph import canonical_names, trace
from workbench.graph.fold import operator as name_of
from workbench.graph.remake import as_module
from workbench.graph.rewrite import is_shared
from workbench.jobs.turn import TURN
from workbench.model.quantizer import quantizers
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Axes, GraphStep, Need, Stage
from workbench.task.batch import leaves, outputs_of

aten = torch.ops.aten
STEEPNESS = 1.702  # of the sigmoid in GELU
Swap = Callable[[Graph, Node], Node]


def _to(target: Callable[..., object], words: str) -> tuple[str, Swap]:
    return words, lambda graph, x: graph.call_function(target, (x,))


def _hard_gelu(graph: Graph, x: Node) -> Node:
    steeper = graph.call_function(aten.mul.Tensor, (x, STEEPNESS))
    return graph.call_function(aten.mul.Tensor, (x, graph.call_function(aten.hardsigmoid.default, (steeper,))))


RELU = _to(aten.relu.default, "ReLU")
SWAPS: Mapping[str, Mapping[str, tuple[str, Swap]]] = {
    "hard": {
        "silu": _to(aten.hardswish.default, "hardswish"),
        "sigmoid": _to(aten.hardsigmoid.default, "hardsigmoid"),
        "tanh": _to(aten.hardtanh.default, "hardtanh"),
        "gelu": ("x hardsigmoid(1.702 x)", _hard_gelu),
    },
    "relu": dict.fromkeys(("silu", "gelu", "mish", "hardswish", "elu", "selu", "celu", "softplus", "leaky_relu"), RELU),
}


@register
@dataclass(frozen=True, kw_only=True)
class SwapActivations(GraphStep):
    """Puts cheap activations in the place of smooth ones."""

    kind: ClassVar[str] = "swap_activations"
    title: ClassVar[str] = "Swap activations"
    summary: ClassVar[str] = (
        "Puts pieces of straight lines, or ReLU, in the place of SiLU, GELU and the like. It saves no byte, only time "
        "where exponentials take some; with ReLU train afterwards."
    )
    shelf: ClassVar[str] = "Replace"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.REPLACE
    scans: ClassVar[str] = "layers"
    axes: ClassVar[Axes] = {"into": ("hard", "relu")}

    into: str = option(
        "hard",
        "What they become: pieces of straight lines that are close to them, or ReLU.",
        choices=("hard", "relu"),
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        chosen = {layer.parameter: layer.name for layer in self.chosen(context.layers(state.model))}
        example, names = context.example(), canonical_names(state.model)
        program = trace(state.model, example)
        signature = program.graph_signature
        layers = {
            node: chosen.get(names.get(name, name), "")
            for node, name in signature.inputs_to_parameters.items()
            if state.model.get_parameter(name).dim() > 1
        }
        swaps, swapped, stay = SWAPS[self.into], dict[tuple[str, str], list[str]](), list[str]()
        nodes = list(program.graph.nodes)
        order, read = {node: place for place, node in enumerate(nodes)}, _read_by_layers(nodes, layers)
        for node in nodes:
            name = name_of(node)
            was = name.removesuffix("_")
            if was not in swaps:
                continue
            layer, entering = _layer_before(node, layers), cast(Any, node.args[0])
            if not layer and (self.layers, self.exclude) != ("*", ""):
                continue
            if name != was and is_shared(entering, node, order):
                stay.append(f"{was} behind {layer or 'the model'} stays: it writes into memory that others read")
                continue
            # What no layer reads any more makes the output, and says what it means: a probability stays one.
            if node not in read:
                continue
            becomes, swap = swaps[was]
            with program.graph.inserting_before(node):
                instead = swap(program.graph, entering)
            instead.meta = dict(node.meta)
            node.replace_all_uses_with(instead)
            # What reads the memory later is to read what was written there.
            for user in [user for user in entering.users if name != was and order.get(user, -1) > order[node]]:
                user.replace_input_with(entering, instead)
            program.graph.erase_node(node)
            swapped.setdefault((was, becomes), []).append(layer or "the model")
        if not swapped:
            known = ", ".join(swaps)
            raise WorkbenchError("; ".join([f"{self.title}: no {known} follows {self.layers}, before a layer", *stay]))
        model = as_module(program, state.model)
        with TURN, torch.no_grad():
            if not all(bool(value.isfinite().all()) for value in leaves(outputs_of(model.eval(), example))):
                raise WorkbenchError(f"{self.title}: the outputs are not finite any more")
        return state.with_model(model).with_notes(
            *(
                f"{len(places)} × {was} became {becomes}, behind {', '.join(dict.fromkeys(places))}"
                for (was, becomes), places in swapped.items()
            ),
            *stay,
        )


def _read_by_layers(nodes: Sequence[Node], layers: Mapping[str, str]) -> set[Node]:
    """Return the nodes on the way to an operator that reads a layer's weight."""
    found: set[Node] = set()
    for node in reversed(nodes):
        reads = any(before.name in layers for before in node.all_input_nodes)
        if reads or any(user in found for user in node.users):
            found.update(before for before in node.all_input_nodes)
    return found


def _layer_before(node: Node, layers: Mapping[str, str]) -> str:
    """Return the first chosen layer that is met on the way back from an operator, "" where another one comes first."""
    queue, seen = [node], {node}
    while queue:
        here = queue.pop(0)
        for before in here.all_input_nodes:
            if before.name in layers:
                return layers[before.name]
            if before not in seen:
                seen.add(before)
                queue.append(before)
    return ""
