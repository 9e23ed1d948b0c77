"""Multiply-accumulates and modelled energy.

MACs are counted by torch's own flop counter over one forward pass. Energy is a model, never a measurement: the
cost of an operation and of fetching a weight once from memory, from Horowitz, "Computing's Energy Problem (and
what we can do about it)", ISSCC 2014 (45 nm).
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.graph.tracing import slow_attention
from workbench.model.layers import Layer
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
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and the first look needs no MACs

    known, key = _COUNTS.setdefault(model, {}), tuple((value.shape, value.dtype) for value in example)
    if key not in known:
        # The counter does not know the fused kernels of a CPU; written out, attention is two products.
        with torch.no_grad(), slow_attention(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call(twin(model), example)
        known[key] = counter.get_total_flops() // 2 // batch_size(example)
    return known[key]


def model_energy(
    model: nn.Module, codings: Mapping[str, Coding], layers: tuple[Layer, ...], macs: int, size: int
) -> float:
    """Return the modelled energy of one sample in joules: every MAC once, every stored byte fetched once.

    A layer counts as integer work where both its weights and its input are on a grid of at most eight bits; the
    cost then falls with the product of the two widths.
    """
    found = quantizers(model)
    energy, counted = 0.0, 0
    for layer in layers:
        entry = found.get(f"{layer.name}.{INPUT}")
        coding = codings.get(layer.parameter)
        if entry is not None and coding is not None:
            energy += layer.macs * INT8_MAC * (coding.bits * entry.bits) / 64
        else:
            energy += layer.macs * FLOAT_MAC
        counted += layer.macs
    return energy + max(macs - counted, 0) * FLOAT_MAC + size * DRAM_BYTE
