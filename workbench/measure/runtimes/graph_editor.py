"""Edits of an ONNX graph: values stored as integers, and what turns, rounds and clips them.

The pairs of QuantizeLinear and DequantizeLinear stand exactly where the simulation rounds, so that ONNX Runtime can
replace each layer between them by its integer kernel and still give the numbers that were measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.checkpoint.coding import Uniform
from workbench.measure.runtimes.decoding import Decoder
from workbench.measure.runtimes.lookup import multiplied
from workbench.model.quantizer import ActivationQuantizer

if TYPE_CHECKING:
    import onnx

# The only type that integers are turned into here (TensorProto.FLOAT); weights of another keep their rounded values.
FLOAT = 1


def grid_of(quantizer: ActivationQuantizer) -> tuple[float, int]:
    """Return what two quantizers that round alike have in common."""
    return quantizer.scale, quantizer.zero_point


def inner_reads(node: onnx.NodeProto) -> list[str]:
    """Return the names that graphs within a node read: loops and choices see all tensors around them."""
    return [
        name
        for attribute in node.attribute
        if attribute.HasField("g")
        for inner in attribute.g.node
        for name in (*inner.input, *inner_reads(inner))
    ]


class GraphEditor:
    """One pass over a graph that is being given integers.

    Args:
        proto: Changed in place.
        found: Quantizers of the model, by their full names.
        layers: Names of the modules that hold parameters.
    """

    def __init__(
        self, proto: onnx.ModelProto, rounding: Mapping[str, ActivationQuantizer], layers: Collection[str]
    ) -> None:
        self.graph = proto.graph
        self.quantizers = rounding
        self.values = {initializer.name: initializer for initializer in self.graph.initializer}
        self.outputs = {value.name for value in self.graph.output}
        # Graphs within the graph are left as they are, and so is what they read.
        self.inside = {name for node in self.graph.node for name in inner_reads(node)}
        self.made: list[onnx.NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.decoder = Decoder(self._constant, self.graph.initializer.append)
        self.grids: dict[str, ActivationQuantizer] = {}
        # Grids of modules that are no layers: what they make is rounded for everyone who reads it.
        self.shared = {grid_of(one) for name, one in rounding.items() if name.rpartition(".")[0] not in layers}
        self.pairs: dict[tuple[str, float, int], str] = {}
        self.biases: dict[str, tuple[str, tuple[float, int]]] = {}

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
        shape = [-1 if number == axis else 1 for number in range(integers.ndim)]
        parts = {"integers": integers, "scale": scale.reshape(shape), "zero": zero.astype(np.float32).reshape(shape)}
        self._stored_as(name, {suffix: part for suffix, part in parts.items() if suffix != "zero" or part.any()})
        shift = f"{name}.zero" if parts["zero"].any() else None
        self.made += multiplied(f"{name}.integers", f"{name}.scale", shift, name, f"{name}.values")
        return f"{name}.values"

    def _constant(self, array: np.ndarray[Any, Any], name: str) -> str:
        """Store an array, and return its name; one without a name is stored once for all that are equal."""
        from onnx import numpy_helper

        if not name:
            key = str(array.dtype), array.shape, array.tobytes()
            if key in self.constants:
                return self.constants[key]
            name = self.constants[key] = f"~c{len(self.constants)}"
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

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
        if (known := self.biases.get(name)) is not None:
            if known[1] == grid_of(entry):
                return known[0]
            if all(one.name != name for one in self.graph.initializer):
                self.graph.initializer.append(self.values[name])
            return name  # on another layer's grid, and added as it is
        array = numpy_helper.to_array(self.values[name]).astype(np.float64)
        scale = (grid.scale.double() * entry.scale).numpy().astype(np.float32)
        if scale.ndim:  # a grouped transposed convolution has the scales of one group for each of its groups
            scale = np.tile(scale, len(array) // len(scale))
        limits = np.iinfo(np.int32)
        integers = np.clip(np.rint(array / scale), limits.min, limits.max).astype(np.int32)
        axis = 0 if scale.ndim else None
        value = self._dequantize(name, integers, scale, np.zeros(scale.shape, np.int32), axis)
        self.biases[name] = value, grid_of(entry)
        return value

    def _pair(self, value: str, quantizer: ActivationQuantizer) -> str:
        from onnx import helper, numpy_helper

        scale, zero = grid_of(quantizer)
        if value in self.grids and grid_of(self.grids[value]) == (scale, zero):
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

        scale, zero = grid_of(quantizer)
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

        constant = self.values.get(name)
        if (maker := makers.get(name)) is not None and maker.op_type == "Constant":
            constant = next((attribute.t for attribute in maker.attribute if attribute.name == "value"), None)
        return constant is not None and not numpy_helper.to_array(constant).any()

    def _moves(self, node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> bool:
        """Return whether an operator gives nothing but values of its first input, and zeros."""
        if node.op_type == "Pad":
            constant = all(attribute.s == b"constant" for attribute in node.attribute if attribute.name == "mode")
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
        # What has no name was left out: an output that nobody reads, as of a recurrent layer's last state alone.
        pending = {output for node in left for output in node.output} - {""}
        reads = {id(node): (*node.input, *inner_reads(node)) for node in left}
        ordered: list[onnx.NodeProto] = []
        while left:
            ready = [node for node in left if not any(value in pending for value in reads[id(node)])]
            if not ready:
                raise RuntimeError("the edited graph has a cycle")
            for node in ready:
                pending.difference_update(node.output)
            ordered += ready
            chosen = {id(node) for node in ready}
            left = [node for node in left if id(node) not in chosen]
        del self.graph.node[:]
        self.graph.node.extend(ordered)
