"""Integers in an ONNX graph: weights as 8-bit integers, activations through Quantize/Dequantize pairs.

The pairs stand exactly where the simulation rounds, so that ONNX Runtime can replace each layer between them by
its integer kernel and still give the numbers that were measured.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from workbench.checkpoint.coding import Coding, Uniform
from workbench.measure.runtimes.lookup import looked_up, lookups
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, quantizers

if TYPE_CHECKING:
    import onnx

# The only type that integers are turned into here (TensorProto.FLOAT); weights of another keep their rounded values.
FLOAT = 1
LAYER_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


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
    grids = {name: coding for name, coding in codings.items() if isinstance(coding, Uniform) and not coding.groups}
    found = quantizers(model)
    # A layer whose weights are coded otherwise keeps their values, and still rounds what enters it.
    parameters = dict.fromkeys([*grids, *(_beside(name) for name in found)])
    if not parameters:
        return graph
    fresh = type(graph)()
    fresh.CopyFrom(graph)
    editor = _Editor(fresh, found)
    for name in parameters:
        editor.layer(name, grids.get(name))
    editor.carry()
    editor.sort()
    return fresh


def _beside(quantizer: str) -> str:
    """Return the name of the weight of the layer that a quantizer sits on."""
    layer = quantizer.rpartition(".")[0]
    return f"{layer}.weight" if layer else "weight"


def _multiplies_columns(node: onnx.NodeProto) -> bool:
    """Return whether a product takes its weight as [inputs, outputs]."""
    turned = any(given.name == "transB" and given.i for given in node.attribute)
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not turned)


def _grid(quantizer: ActivationQuantizer) -> tuple[float, int]:
    return quantizer.scale, quantizer.zero_point


class _Editor:
    """One pass over a graph that is being given integers."""

    def __init__(self, proto: onnx.ModelProto, found: Mapping[str, ActivationQuantizer]) -> None:
        self.graph = proto.graph
        self.quantizers = found
        self.values = {given.name: given for given in self.graph.initializer}
        self.outputs = {value.name for value in self.graph.output}
        self.made: list[onnx.NodeProto] = []
        self.grids: dict[str, ActivationQuantizer] = {}
        layers = {name.rpartition(".")[0] for name in self.values}
        # Grids of modules that are no layers: what they make is rounded for everyone who reads it.
        self.shared = {_grid(one) for name, one in found.items() if name.rpartition(".")[0] not in layers}
        self.pairs: dict[tuple[str, float, int], str] = {}

    def layer(self, parameter: str, grid: Uniform | None) -> None:
        """Give one layer integer weights where it has a grid, and its activations pairs where it has quantizers."""
        if parameter not in self.values or self.values[parameter].data_type != FLOAT:
            return
        name = parameter.rpartition(".")[0]
        if grid is not None and self._looked_up(parameter, grid):
            return
        node, turn = self._reader(parameter)
        if grid is not None:
            entered = (f"{name}.{INPUT}" if name else INPUT) in self.quantizers
            unsigned = entered and not signed_products_exact()
            plain = node is not None and not entered and _multiplies_columns(node)
            source = self._weight(parameter, grid, turn is not None, unsigned, plain)
            if turn is not None:
                self.graph.node.remove(turn)
            if node is None:
                self._reread(parameter, source)
            else:
                node.input[1] = source
        if node is None:
            return
        entry, exit_ = (self.quantizers.get(f"{name}.{place}" if name else place) for place in (INPUT, OUTPUT))
        if entry is not None and grid is None:
            node.input[0] = self._rounded(node.input[0], entry)
        elif entry is not None:
            value = node.input[0]
            node.input[0] = self._pair(value, entry)
            if _grid(entry) in self.shared and node.input[0] != value:
                self._reread_in([other for other in self.graph.node if value in other.input], value, node.input[0])
            if grid is not None and len(node.input) > 2 and node.op_type in ("Conv", "Gemm"):
                node.input[2] = self._bias(node, grid, entry)
        if exit_ is not None:
            self._after(node, exit_)

    def _reader(self, parameter: str) -> tuple[onnx.NodeProto | None, onnx.NodeProto | None]:
        """Return the layer's node, None if not just one reads the weight, and the Transpose through which it does."""
        readers = [node for node in self.graph.node if parameter in node.input and node.op_type != "Shape"]
        if len(readers) == 1 and readers[0].op_type == "Transpose":
            turned = readers[0].output[0]
            after = [node for node in self.graph.node if turned in node.input]
            if len(after) == 1 and after[0].op_type == "MatMul" and after[0].input[1] == turned:
                return after[0], readers[0]
        if len(readers) == 1 and readers[0].op_type in LAYER_OPS and readers[0].input[1] == parameter:
            return readers[0], None
        return None, None

    def _looked_up(self, parameter: str, grid: Uniform) -> bool:
        """Turn a table's rows into values where they are looked up, and return whether that is all that reads it."""
        found = lookups(self.graph.node, parameter)
        if not found or (grid.scale.ndim and grid.axis != 0) or len(self.values[parameter].dims) != 2:
            return False
        integers, by_row = self._integers(parameter, grid), bool(grid.scale.ndim)
        shape = (-1, 1) if by_row else ()
        scale, zero = (part.numpy().astype(np.float32).reshape(shape) for part in (grid.scale, grid.zero_point))
        parts = {"integers": integers, "scale": scale, **({"zero": zero} if zero.any() else {})}
        self._stored_as(parameter, parts)
        for gather in found:
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

    def _multiplied(
        self,
        name: str,
        integers: np.ndarray[Any, Any],
        scale: np.ndarray[Any, Any],
        zero: np.ndarray[Any, Any],
        axis: int | None,
    ) -> str:
        """Turn integers into values by plain operators, where nothing else that enters is on a grid.

        ONNX Runtime takes a DequantizeLinear before such a product for leave to round the other factor too. These it
        computes once, when it loads the file.
        """
        from onnx import helper

        shape = [-1 if number == axis else 1 for number in range(integers.ndim)]
        parts = {"integers": integers, "scale": scale.reshape(shape), "zero": zero.astype(np.float32).reshape(shape)}
        self._stored_as(name, {suffix: part for suffix, part in parts.items() if suffix != "zero" or part.any()})
        self.made.append(
            helper.make_node("Cast", [f"{name}.integers"], [f"{name}.cast"], name=f"{name}.cast", to=FLOAT)
        )
        whole = f"{name}.cast"
        if parts["zero"].any():
            whole = f"{name}.shifted"
            self.made.append(helper.make_node("Sub", [f"{name}.cast", f"{name}.zero"], [whole], name=whole))
        self.made.append(helper.make_node("Mul", [whole, f"{name}.scale"], [f"{name}.values"], name=f"{name}.multiply"))
        return f"{name}.values"

    def _stored_as(self, name: str, parts: dict[str, np.ndarray[Any, Any]]) -> None:
        """Store a parameter as parts, and no longer as it was, unless something asks for its shape."""
        from onnx import numpy_helper

        if name in self.values and not any(name in node.input for node in self.graph.node if node.op_type == "Shape"):
            self.graph.initializer.remove(self.values[name])
        for suffix, array in parts.items():
            self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{name}.{suffix}"))

    def _dequantize(
        self,
        name: str,
        integers: np.ndarray[Any, Any],
        scale: np.ndarray[Any, Any],
        zero: np.ndarray[Any, Any],
        axis: int | None,
    ) -> str:
        from onnx import helper

        self._stored_as(name, {"integers": integers, "scale": scale, "zero_point": zero})
        inputs = [f"{name}.integers", f"{name}.scale", f"{name}.zero_point"]
        facts: dict[str, Any] = {} if axis is None else {"axis": axis}
        self.made.append(
            helper.make_node("DequantizeLinear", inputs, [f"{name}.values"], name=f"{name}.dequantize", **facts)
        )
        return f"{name}.values"

    def _bias(self, node: onnx.NodeProto, grid: Uniform, entry: ActivationQuantizer) -> str:
        """Return the bias as int32 on the grid of the products, which is what integer kernels add to."""
        from onnx import numpy_helper

        name: str = node.input[2]
        if name not in self.values:
            return name
        array = numpy_helper.to_array(self.values[name]).astype(np.float64)
        scale = (grid.scale.double() * entry.scale).numpy().astype(np.float32)
        if scale.ndim:  # a grouped transposed convolution has the scales of one group for each of its groups
            scale = np.tile(scale, len(array) // len(scale))
        limits = np.iinfo(np.int32)
        integers = np.clip(np.rint(array / scale), limits.min, limits.max).astype(np.int32)
        axis = 0 if scale.ndim else None
        return self._dequantize(name, integers, scale, np.zeros(scale.shape, np.int32), axis)

    def _pair(self, value: str, quantizer: ActivationQuantizer) -> str:
        from onnx import helper, numpy_helper

        scale, zero = _grid(quantizer)
        if value in self.grids and _grid(self.grids[value]) == (scale, zero):
            return value
        if (value, scale, zero) in self.pairs:
            return self.pairs[value, scale, zero]
        name = f"{value}.rounded"
        number = sum(node.name.startswith(f"{name}.") for node in self.made)
        name = f"{name}.{number}" if number else name
        # The simulation clips to the grid of its bits; QuantizeLinear clips to eight, so fewer need a Clip first.
        clipped = self._clip(value, quantizer, name) if quantizer.bits < 8 else value
        for suffix, array in (("scale", np.float32(scale)), ("zero_point", np.uint8(zero))):
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"{name}.{suffix}"))
        facts = [f"{name}.scale", f"{name}.zero_point"]
        self.made.append(
            helper.make_node("QuantizeLinear", [clipped, *facts], [f"{name}.integers"], name=f"{name}.quantize")
        )
        self.made.append(
            helper.make_node("DequantizeLinear", [f"{name}.integers", *facts], [name], name=f"{name}.dequantize")
        )
        self.grids[name] = quantizer
        self.pairs[value, scale, zero] = name
        return name

    def _rounded(self, value: str, quantizer: ActivationQuantizer) -> str:
        """Return a value on its grid by plain operators, for a layer whose weights are no integers.

        Between a pair ONNX Runtime would quantize such weights by a rule of its own, and give other numbers than were
        measured.
        """
        from onnx import helper, numpy_helper

        scale, zero = _grid(quantizer)
        name = f"{value}.plain"
        if any(node.output[0] == name for node in self.made):
            name = f"{name}.{sum(node.name.startswith(f'{name}.') for node in self.made)}"
        low, high = quantizer.quant_min - zero, quantizer.quant_max - zero
        for suffix, number in (("scale", scale), ("low", low), ("high", high)):
            array = np.asarray(number, np.float32)
            self.graph.initializer.append(numpy_helper.from_array(array, f"{name}.{suffix}"))
        steps = (
            ("Div", [value, f"{name}.scale"], "steps"), ("Round", [f"{name}.steps"], "whole"),
            ("Clip", [f"{name}.whole", f"{name}.low", f"{name}.high"], "inside"),
            ("Mul", [f"{name}.inside", f"{name}.scale"], ""),
        )  # fmt: skip
        for kind, inputs, suffix in steps:
            output = f"{name}.{suffix}" if suffix else name
            self.made.append(helper.make_node(kind, inputs, [output], name=f"{name}.{kind.lower()}"))
        return name

    def _clip(self, value: str, quantizer: ActivationQuantizer, name: str) -> str:
        from onnx import helper, numpy_helper

        scale, zero = quantizer.scale, quantizer.zero_point
        for suffix, edge in (("low", quantizer.quant_min - zero), ("high", quantizer.quant_max - zero)):
            array = np.asarray(edge * scale, np.float32)
            self.graph.initializer.append(numpy_helper.from_array(array, f"{name}.{suffix}"))
        self.made.append(
            helper.make_node("Clip", [value, f"{name}.low", f"{name}.high"], [f"{name}.clipped"], name=f"{name}.clip")
        )
        return f"{name}.clipped"

    def _after(self, node: onnx.NodeProto, quantizer: ActivationQuantizer) -> None:
        value = node.output[0]
        readers = [other for other in self.graph.node if value in other.input]
        if len(readers) == 1 and readers[0].op_type == "Relu" and value not in self.outputs:
            value = readers[0].output[0]
        if value in self.outputs:
            # The name is the file's, so what makes the value gets another and the pair takes it over.
            maker = next(other for other in self.graph.node if value in other.output)
            maker.output[list(maker.output).index(value)] = raw = f"{value}.float"
            self._reread(value, raw)
            rounded = self._pair(raw, quantizer)
            self.made[-1].output[0] = value
            self._reread_in([*self.graph.node, *self.made], rounded, value)
            readers = [other for other in (*self.graph.node, *self.made) if raw in other.input]
            self._reread_in([one for one in readers if not one.name.startswith(f"{raw}.")], raw, value)
            self.grids[value] = quantizer
            return
        readers = [other for other in (*self.graph.node, *self.made) if value in other.input]
        self._reread_in(readers, value, self._pair(value, quantizer))

    def carry(self) -> None:
        """Give sums a pair where a rounded value reaches them through operators that only move it.

        It is on its grid already, so nothing changes; but only between pairs does a sum become one of integers.
        """
        makers = {name: node for node in (*self.graph.node, *self.made) for name in node.output}
        for node in [node for node in self.graph.node if node.op_type == "Add"]:
            for number, value in enumerate(node.input):
                source = value
                while source not in self.grids and (maker := makers.get(source)) and self._moves(maker, makers):
                    source = maker.input[0]
                if source != value and source in self.grids:
                    node.input[number] = self._pair(value, self.grids[source])

    def _zero(self, name: str, makers: Mapping[str, onnx.NodeProto]) -> bool:
        """Return whether a value is known to be nothing but zeros."""
        from onnx import numpy_helper

        found = self.values.get(name)
        if (maker := makers.get(name)) is not None and maker.op_type == "Constant":
            found = next((given.t for given in maker.attribute if given.name == "value"), None)
        return found is not None and not numpy_helper.to_array(found).any()

    def _moves(self, node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> bool:
        """Return whether an operator gives nothing but values of its first input, and zeros."""
        if node.op_type == "Pad":
            constant = all(given.s == b"constant" for given in node.attribute if given.name == "mode")
            return constant and all(self._zero(name, makers) for name in node.input[2:3] if name)
        return node.op_type in ("Slice", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")

    def _reread(self, old: str, new: str) -> None:
        self._reread_in([n for n in self.graph.node if old in n.input and n.op_type != "Shape"], old, new)

    @staticmethod
    def _reread_in(readers: list[onnx.NodeProto], old: str, new: str) -> None:
        for reader in readers:
            for number, value in enumerate(reader.input):
                if value == old:
                    reader.input[number] = new

    def sort(self) -> None:
        """Put all nodes into an order in which each comes after what it reads."""
        left = [*self.graph.node, *self.made]
        pending = {output for node in left for output in node.output}
        ordered: list[onnx.NodeProto] = []
        while left:
            ready = [node for node in left if not any(value in pending for value in node.input)]
            if not ready:
                raise RuntimeError("the edited graph has a cycle")
            for node in ready:
                pending.difference_update(node.output)
            ordered += ready
            chosen = {id(node) for node in ready}
            left = [node for node in left if id(node) not in chosen]
        del self.graph.node[:]
        self.graph.node.extend(ordered)
