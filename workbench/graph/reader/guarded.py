"""Operators whose kernels trust their caller, behind the checks that `torch.nn` makes for them in Python.

Without these a graph could have them read or write beyond a tensor's memory, with inputs of another batch size than the
one it was checked with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError


def _lstm(
    x: Tensor, hx: Sequence[Tensor], params: Sequence[Tensor], has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`aten.lstm` without projections."""
    both, parts = 2 if bidirectional else 1, 4 if has_biases else 2
    if x.dim() != 3 or len(hx) != 2 or hx[0].dim() != 3 or len(params) != num_layers * both * parts:
        raise WorkbenchError("the graph calls an LSTM with other states or weights than one has")
    batch, hidden = x.shape[0 if batch_first else 1], hx[0].shape[2]
    shapes = [tuple(state.shape) for state in hx]
    if shapes != [(num_layers * both, batch, hidden)] * 2:
        raise WorkbenchError(f"the graph calls an LSTM with states of {shapes} for a batch of {batch}")
    for place in range(num_layers * both):
        inside = x.shape[2] if place < both else both * hidden
        wanted = [(4 * hidden, inside), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)][:parts]
        if [tuple(parameter.shape) for parameter in params[place * parts : (place + 1) * parts]] != wanted:
            raise WorkbenchError("the graph calls an LSTM with weights of other shapes than it has")
    outputs: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.lstm.input(
        x, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return outputs


def _attention(query: Tensor, key: Tensor, value: Tensor, *options: Any, **named: Any) -> Tensor:
    """`aten.scaled_dot_product_attention`."""
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise WorkbenchError("the graph calls attention with vectors")
    if key.shape[-2] != value.shape[-2] or key.shape[-1] != query.shape[-1]:
        shapes = [tuple(tensor.shape) for tensor in (query, key, value)]
        raise WorkbenchError(f"the graph calls attention with queries, keys and values of {shapes}")
    output: Tensor = torch.ops.aten.scaled_dot_product_attention.default(query, key, value, *options, **named)
    return output


GUARDED: Mapping[str, Callable[..., Any]] = {
    "lstm.input": _lstm,
    "scaled_dot_product_attention.default": _attention,
}
