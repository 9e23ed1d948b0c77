"""Multiply-accumulates and modelled energy.

MACs are counted over one forward pass, operator by operator, by torch's own formulas. Energy is a model, never a
measurement: the cost of an operation and of fetching a weight once from memory, from Horowitz, "Computing's Energy
Problem (and what we can do about it)", ISSCC 2014 (45 nm).
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.model.layers import Layer
from workbench.model.products import Products, written_out
from workbench.model.quantizer import INPUT, quantizers
from workbench.model.twin import twin
from workbench.task.batch import batch_size, call

# Joules for a multiplication and an addition of that many bits, and for fetching a byte from DRAM.
FLOAT_MAC = 3.7e-12 + 0.9e-12
INT8_MAC = 0.2e-12 + 0.1e-12
DRAM_BYTE = 640e-12 / 4
# By the shapes of the inputs, on which they depend.
_COUNTS: WeakKeyDictionary[nn.Module, dict[object, int]] = WeakKeyDictionary()


def count_macs(model: nn.Module, example: tuple[Tensor, ...]) -> int:
    """Return the multiply-accumulates of convolutions, matrix products and attention for one sample."""
    known, key = _COUNTS.setdefault(model, {}), tuple((value.shape, value.dtype) for value in example)
    if key not in known:
        counter = Products(dict(model.named_parameters()))
        with written_out(), counter:
            call(twin(model), example)
        known[key] = sum(counter.macs.values()) // batch_size(example)
    return known[key]


def model_energy(
    model: nn.Module, codings: Mapping[str, Coding], layers: tuple[Layer, ...], macs: int, size: int
) -> float:
    """Return the modelled energy of one sample in joules: every MAC once, every stored byte fetched once.

    A layer counts as integer work where both its weights and its input are on a grid of at most eight bits; the
    cost then falls with the product of the two widths.
    """
    rounding = quantizers(model)
    energy, counted = 0.0, 0
    for layer in layers:
        entry = rounding.get(f"{layer.module}.{INPUT}" if layer.module else INPUT)
        coding = codings.get(layer.parameter)
        if entry is not None and coding is not None:
            energy += layer.macs * INT8_MAC * (coding.bits * entry.bits) / 64
        else:
            energy += layer.macs * FLOAT_MAC
        counted += layer.macs
    return energy + max(macs - counted, 0) * FLOAT_MAC + size * DRAM_BYTE
