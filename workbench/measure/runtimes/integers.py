"""Integers in an ONNX graph: weights as 8-bit integers, activations through Quantize/Dequantize pairs.

The pairs stand exactly where the simulation rounds, so that ONNX Runtime can replace each layer between them by
its integer kernel and still give the numbers that were measured.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from workbench.checkpoint.coding import Coding, Uniform
from workbench.measure.runtimes.decoding import decodes
from workbench.measure.runtimes.graph_editor import FLOAT, GraphEditor, grid_of
from workbench.measure.runtimes.lookup import looked_up, lookups
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, quantizers

if TYPE_CHECKING:
    import onnx

LAYER_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
MODULE = "module"  # a node's note on the module that it is a part of


@functools.cache
def signed_products_exact() -> bool:
    """Return whether this processor's kernels multiply unsigned activations with signed weights exactly.

    Without instructions for it (VNNI), they add two products in 16 bits, which overflow without a word. Products of
    unsigned weights are added in 32 bits on every processor, and take longer. It is tried out once.
    """
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    wide, most = 64, 200
    constants = {
        "a_scale": np.float32(1.0), "a_zero": np.uint8(0), "b": np.full((wide, 16), 127, np.int8),
        "b_scale": np.float32(1.0), "b_zero": np.int8(0), "y_scale": np.float32(wide * 255 * 127 / most),
        "y_zero": np.uint8(0),
    }  # fmt: skip
    names = ["a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"]
    graph = helper.make_graph(
        [helper.make_node("QLinearMatMul", names, ["y"])],
        "products",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, (4, wide))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, (4, 16))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    products = session.run(None, {"a": np.full((4, wide), 255, np.uint8)})[0]
    return bool((np.abs(products.astype(int) - most) <= 1).all())


def with_integers(graph: onnx.ModelProto, model: nn.Module, codings: Mapping[str, Coding]) -> onnx.ModelProto:
    """Return the graph with integers in it; the graph itself where nothing is quantized.

    Weights on a uniform grid, one for the tensor or each channel, become integer initializers. The input and output
    of a layer with quantizers get a QuantizeLinear/DequantizeLinear pair, the output's after a ReLU that follows. Where
    the module that makes a layer's input rounds it for all, all read the pair.
    """
    rounding = quantizers(model)
    weights = _weights(model, codings, rounding)
    if not weights:
        return graph
    fresh = type(graph)()
    fresh.CopyFrom(graph)
    editor = _Editor(
        fresh, rounding, {name.rpartition(".")[0] for name, _ in model.named_parameters(remove_duplicate=False)}
    )
    for weight in weights:
        editor.weight(weight)
    editor.carry()
    editor.sort()
    return fresh


@dataclass(frozen=True)
class _Weight:
    """A weight that is coded, or read by a layer that rounds what enters or leaves it.

    Attributes:
        names: All that it goes by in the model; the graph knows it by one of them.
        coding: How it is stored, None for in full.
    """

    names: tuple[str, ...]
    coding: Coding | None

    @property
    def grid(self) -> Uniform | None:
        """Where it lies on one that integers of a tensor or its channels can say."""
        return self.coding if isinstance(self.coding, Uniform) and not self.coding.groups else None

    @property
    def owners(self) -> set[str]:
        """Names of the modules that hold it."""
        return {name.rpartition(".")[0] for name in self.names}


def _weights(
    model: nn.Module, codings: Mapping[str, Coding], rounding: Mapping[str, ActivationQuantizer]
) -> list[_Weight]:
    """Return the weights that the graph holds otherwise, in the order of the codings."""
    known = {name: coding for name, coding in codings.items() if decodes(coding)}
    names: dict[int, list[str]] = {}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, value in parameters.items():
        names.setdefault(id(value), []).append(name)
    weights = dict[tuple[str, ...], Coding | None]()
    # A layer whose weights are not coded still rounds what enters it.
    for name in (*known, *(_beside(place) for place in rounding)):
        if name in parameters:
            tied = tuple(names[id(parameters[name])])
            weights[tied] = weights.get(tied) or known.get(name)
    return [_Weight(tied, coding) for tied, coding in weights.items()]


@dataclass(frozen=True)
class _Reading:
    """One operator that multiplies with a weight.

    Attributes:
        node: The operator; the weight is its second input.
        turn: The Transpose through which it reads the weight, if there is one.
        module: The layer as a part of which it does, None where that is not known.
    """

    node: onnx.NodeProto
    turn: onnx.NodeProto | None
    module: str | None


def _beside(quantizer: str) -> str:
    """Return the name of the weight of the layer that a quantizer sits on."""
    layer = quantizer.rpartition(".")[0]
    return f"{layer}.weight" if layer else "weight"


def _swaps(transpose: onnx.NodeProto) -> bool:
    """Return whether a Transpose swaps the two dimensions of a matrix."""
    return next((list(attribute.ints) for attribute in transpose.attribute if attribute.name == "perm"), [1, 0]) == [
        1,
        0,
    ]


def _module(node: onnx.NodeProto) -> str | None:
    return next((one.value for one in node.metadata_props if one.key == MODULE), None)


class _Editor(GraphEditor):
    """A pass over a graph that gives its weights integers."""

    def weight(self, weight: _Weight) -> None:
        """Put integers in the place of a weight that has a grid, and pairs where a layer that reads it has quantizers.

        A weight may be read several times: by a layer that is called again, by layers that share it, or outside of all.
        Each call of a layer with quantizers is rounded, as in the model, and no other.
        """
        name = next((name for name in weight.names if name in self.values), "")
        if not name or name in self.inside or self.values[name].data_type != FLOAT:
            return
        # A table in the type that a lookup can read stays in it: rows are turned into values as they are looked up.
        if weight.grid is not None and weight.grid.bits == 8 and self._looked_up(name, weight.grid):
            return
        readings, layers = self._readings(name), weight.owners
        if len(readings) == 1 and len(layers) == 1:
            readings = [replace(readings[0], module=next(iter(layers)))]
        entries = [self._quantizer(reading, layers, INPUT) for reading in readings]
        source = None
        if weight.coding is not None and (weight.grid is None or not any(entries)):
            self._reread(name, self._decoded(name, weight.coding))
        elif weight.grid is not None:
            # Where what enters is not always rounded, a runtime must not take integers for leave to do so.
            source = self._integer_weight(name, weight.grid, readings, plain=not all(entries))
        pairs = weight.grid is not None and None not in entries
        for reading, entry in zip(readings, entries, strict=True):
            if source is not None:
                reading.node.input[1] = source
            if entry is not None and pairs:
                self._enter(reading.node, entry, weight.grid)
            elif entry is not None:
                reading.node.input[0] = self._rounded(reading.node.input[0], entry)
            if (leaving := self._quantizer(reading, layers, OUTPUT)) is not None:
                self._after(reading.node, leaving)

    def _quantizer(self, reading: _Reading, layers: set[str], place: str) -> ActivationQuantizer | None:
        """Return what rounds the input or output of a reading, if it is a layer's call."""
        if reading.module not in layers:
            return None
        return self.quantizers.get(f"{reading.module}.{place}" if reading.module else place)

    def _enter(self, node: onnx.NodeProto, entry: ActivationQuantizer, grid: Uniform | None) -> None:
        value = node.input[0]
        node.input[0] = self._pair(value, entry)
        if grid_of(entry) in self.shared and node.input[0] != value:
            self._reread_in([other for other in self.graph.node if value in other.input], value, node.input[0])
        if grid is not None and len(node.input) > 2 and node.op_type in ("Conv", "Gemm"):
            node.input[2] = self._bias(node, grid, entry)

    def _decoded(self, name: str, coding: Coding) -> str:
        """Store a weight as its codes, and return what turns them into values as the file is opened."""
        import torch
        from onnx import numpy_helper

        values = torch.from_numpy(numpy_helper.to_array(self.values[name]).copy())
        self._stored_as(name, {})
        decoded = self.decoder.decode(name, values, coding)
        self.made += self.decoder.nodes
        self.decoder.nodes.clear()
        return decoded

    def _readings(self, parameter: str) -> list[_Reading]:
        """Return the operators that multiply with a parameter, in the graph's order."""
        readings = []
        for node in self.graph.node:
            if node.op_type in LAYER_OPS and node.input[1] == parameter:
                readings.append(_Reading(node, None, _module(node)))
            if node.op_type == "Transpose" and node.input[0] == parameter:
                after = [other for other in self.graph.node if node.output[0] in other.input]
                readings += [
                    _Reading(other, node, _module(other))
                    for other in after
                    if other.op_type in LAYER_OPS and other.input[1] == node.output[0]
                ]
        return readings

    def _integer_weight(self, name: str, grid: Uniform, readings: list[_Reading], plain: bool) -> str | None:
        """Store a weight as integers; return what all readings take instead, None where they read it as before."""
        turned = self._all_turned(name, readings)
        source = self._weight(name, grid, turned, not signed_products_exact(), plain)
        if not turned:
            self._reread(name, source)
            return None
        turns = {reading.turn.output[0]: reading.turn for reading in readings if reading.turn is not None}
        for turn in turns.values():
            self.graph.node.remove(turn)
        return source

    def _all_turned(self, name: str, readings: list[_Reading]) -> bool:
        """Return whether all that is read of a weight is its transpose, by these readings, so that it is stored so."""
        turns = {reading.turn.output[0] for reading in readings if reading.turn is not None}
        readers = [node for node in self.graph.node if name in node.input and node.op_type != "Shape"]
        takers = [node for node in self.graph.node if turns.intersection(node.input)]
        nodes = {id(reading.node) for reading in readings}
        return (
            bool(turns)
            and all(node.op_type == "Transpose" and node.output[0] in turns and _swaps(node) for node in readers)
            and all(id(node) in nodes for node in takers)
        )

    def _looked_up(self, parameter: str, grid: Uniform) -> bool:
        """Turn a table's rows into values where they are looked up, and return whether that is all that reads it."""
        gathers = lookups(self.graph.node, parameter)
        if not gathers or (grid.scale.ndim and grid.axis != 0) or len(self.values[parameter].dims) != 2:
            return False
        integers, by_row = self._integers(parameter, grid), bool(grid.scale.ndim)
        shape = (-1, 1) if by_row else ()
        scale, zero = (part.numpy().astype(np.float32).reshape(shape) for part in (grid.scale, grid.zero_point))
        parts = {"integers": integers, "scale": scale, **({"zero": zero} if zero.any() else {})}
        self._stored_as(parameter, parts)
        for gather in gathers:
            self.graph.node.remove(gather)
            self.made += looked_up(gather, parts, parameter, by_row)
        return True

    def _integers(self, parameter: str, grid: Uniform) -> np.ndarray[Any, Any]:
        import torch
        from onnx import numpy_helper

        array = numpy_helper.to_array(self.values[parameter])
        return grid.integers(torch.from_numpy(array.copy())).numpy().astype(np.int8)

    def _weight(self, parameter: str, grid: Uniform, transposed: bool, unsigned: bool, plain: bool) -> str:
        integers, axis = self._integers(parameter, grid), grid.axis
        if transposed:
            integers, axis = (
                np.ascontiguousarray(integers.T),
                None if axis is None else integers.ndim - 1 - axis,
            )
        zero: np.ndarray[Any, Any] = grid.zero_point.numpy().astype(np.int8)
        if unsigned:
            # The same values, counted from 0 on.
            integers, zero = ((part.astype(np.int16) + 128).astype(np.uint8) for part in (integers, zero))
        if plain:
            return self._multiplied(parameter, integers, grid.scale.numpy(), zero, axis)
        return self._dequantize(parameter, integers, grid.scale.numpy(), zero, axis)
