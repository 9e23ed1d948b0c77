"""Codes of a few bits in an ONNX graph, turned into values by operators that are computed once, as it is opened.

Everything here reads constants alone, so that ONNX Runtime folds it, and norms behind a layer into what comes out: such
a file is as small as its codes, and as fast as one of floats. `DequantizeLinear` would stay, for integer kernels, and
be computed in every run. Values are equal to the bit to those that were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from workbench.checkpoint.coding import Codebook, Coding, Floating, Levels, Uniform
from workbench.checkpoint.coding.bits import pack

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]


def decodes(coding: Coding) -> bool:
    """Return whether a coding's values can be computed in a graph."""
    return isinstance(coding, Uniform | Codebook | Levels | Floating) and (coding.bits <= 8 or coding.bits == 16)


class Decoder:
    """Writes the nodes that compute weights of their codes.

    Args:
        constant: Stores an array, under a name if it is given one, and returns its name; else equal ones are one.
        store: Stores a tensor of a type that NumPy lacks.
    """

    def __init__(self, constant: Callable[[Array, str], str], store: Callable[[onnx.TensorProto], None]) -> None:
        self._constant, self._store = constant, store
        self.nodes: list[onnx.NodeProto] = []
        self._made = 0

    def decode(self, name: str, weight: Tensor, coding: Coding) -> str:
        """Write a weight as its codes, and return the name of what computes its values.

        Args:
            name: Of the parameter.
            weight: On the coding's grid.
            coding: One that `decodes`.
        """
        scale = getattr(coding, "scale", torch.tensor(1.0)).float()
        if isinstance(coding, Uniform):
            values = self._integers(name, weight, coding)
        elif coding.bits == 16:
            values = self._half(name, weight, coding)
        else:
            codes = self._codes(f"{name}.codes", codes_of(weight, coding), coding.bits, weight.shape)
            book = self._constant(_book(coding).numpy(), "")
            values = self._node("Gather", [book, self._cast(codes, "INT32")])
        if bool((scale != 1).any()):
            values = self._node("Mul", [values, self._wide(scale, coding, weight, f"{name}.scale")])
        self.nodes[-1].output[0] = f"{name}.values"
        return f"{name}.values"

    def _integers(self, name: str, weight: Tensor, coding: Uniform) -> str:
        """Return the integers of a grid, less their zero points, as floats."""
        codes, zero = codes_of(weight, coding), (coding.zero_point - coding.low).float()
        if coding.bits == 8:  # signed ones need no zero point where the grid lies around zero
            integers = (codes.astype(np.int16) + coding.low).astype(np.int8).reshape(weight.shape)
            cast, zero = self._cast(self._constant(integers, f"{name}.integers"), "FLOAT"), coding.zero_point.float()
        else:
            cast = self._cast(self._codes(f"{name}.codes", codes, coding.bits, weight.shape), "FLOAT")
        if not bool(zero.any()):
            return cast
        if bool((zero == zero.flatten()[0]).all()):
            return self._node("Sub", [cast, self._constant(zero.flatten()[0].numpy(), "")])
        return self._node("Sub", [cast, self._wide(zero, coding, weight, f"{name}.zero")])

    def _half(self, name: str, weight: Tensor, coding: Coding) -> str:
        """Return floats of 16 bits, which ONNX has too, in full."""
        from onnx import TensorProto

        kind = "BFLOAT16" if getattr(coding, "name", "") == "bf16" else "FLOAT16"
        raw = pack(torch.cat([own.codes(part).flatten() for own, part in coding.pieces(weight)]), 16).numpy().tobytes()
        dims, data_type = weight.shape, TensorProto.DataType.Value(kind)
        self._store(TensorProto(name=f"{name}.floats", data_type=data_type, dims=dims, raw_data=raw))
        return self._cast(f"{name}.floats", "FLOAT")

    def _codes(self, name: str, codes: Array, bits: int, shape: Sequence[int]) -> str:
        """Return unsigned codes in their shape, from a tensor in which they lie without gaps, the lowest bit first."""
        if bits == 8:
            return self._constant(codes.reshape(shape), name)
        count = 8 // bits if 8 % bits == 0 else 8  # codes in as few whole bytes as hold them
        padded = np.concatenate([codes, np.zeros(-len(codes) % count, np.uint8)])
        rows = self._constant(pack(torch.from_numpy(padded), bits).numpy().reshape(-1, count * bits // 8), name)
        kind: type[np.unsignedinteger[Any]] = np.uint8
        if count < 8 or bits == 1:
            shifts = np.arange(count) * bits
        else:
            # A code lies in at most two neighbouring bytes, which are put together before it is cut out.
            kind = np.uint32
            first, shifts = np.arange(8) * bits // 8, np.arange(8) * bits % 8
            wide = self._cast(rows, "UINT32")
            low, high = (
                self._node("Gather", [wide, self._constant(np.minimum(first + more, bits - 1), "")], axis=1)
                for more in (0, 1)
            )
            high = self._node("BitShift", [high, self._constant(np.array(8, kind), "")], direction="LEFT")
            rows = self._node("BitwiseOr", [low, high])
        rows = self._node("BitShift", [rows, self._constant(shifts.astype(kind)[None], "")], direction="RIGHT")
        rows = self._node("BitwiseAnd", [rows, self._constant(np.array(2**bits - 1, kind), "")])
        if len(padded) > len(codes):
            rows = self._node("Reshape", [rows, self._constant(np.array([-1]), "")])
            ends = [self._constant(np.array([end]), "") for end in (0, len(codes))]
            rows = self._node("Slice", [rows, *ends])
        return self._node("Reshape", [rows, self._constant(np.array(shape, np.int64), "")])

    def _wide(self, table: Tensor, coding: Any, weight: Tensor, name: str) -> str:
        """Return a table of scales or zero points in a shape that meets the weight."""
        groups = getattr(coding, "groups", ())
        if not groups:
            shape = [-1 if dim == coding.axis else 1 for dim in range(weight.ndim)] if coding.axis is not None else []
            return self._constant(table.reshape(shape).numpy(), name if table.ndim else "")
        which = torch.arange(len(groups)).repeat_interleave(torch.tensor(groups))
        indices = self._constant(which.to(torch.int32).numpy(), "")
        spread = self._node("Gather", [self._constant(table.numpy(), name), indices], axis=1)
        if coding.axis:
            spread = self._node("Transpose", [spread], perm=[1, 0])
        if weight.ndim > 2:
            shape = [*weight.shape[:2], *[1] * (weight.ndim - 2)]
            spread = self._node("Reshape", [spread, self._constant(np.array(shape, np.int64), "")])
        return spread

    def _cast(self, value: str, kind: str) -> str:
        from onnx import TensorProto

        return self._node("Cast", [value], to=TensorProto.DataType.Value(kind))

    def _node(self, kind: str, inputs: list[str], **facts: Any) -> str:
        from onnx import helper

        # Short names, since a net has hundreds of them, and files are to be small.
        self._made += 1
        self.nodes.append(helper.make_node(kind, inputs, [f"~{self._made}"], **facts))
        return f"~{self._made}"


def _book(coding: Coding) -> Tensor:
    """Return the value of every code, without a scale."""
    if isinstance(coding, Codebook):
        return coding.book
    if isinstance(coding, Floating):
        return replace(coding, scale=torch.tensor(1.0), axis=None).values(torch.arange(2**coding.bits))
    assert isinstance(coding, Levels)  # noqa: S101 - `decodes` says so
    return coding.levels


def codes_of(weight: Tensor, coding: Coding) -> Array:
    """Return the codes of a weight, uint8 [n], taken in pieces."""
    parts = [own.codes(part).to(torch.uint8).flatten() for own, part in coding.pieces(weight)]
    return torch.cat(parts).numpy() if parts else np.zeros(0, np.uint8)
