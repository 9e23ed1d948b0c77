"""What a net without some units has to give, in double precision: the net with all that they occupy set to zero.

A norm over channels has one more thing to know: its statistics are those of the channels that stay. There the smaller
norm is run on these, and the others are zero behind it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from workbench.graph import Group, cut, kept_indices, mask
from workbench.graph.cutting import Removal
from workbench.task.batch import Inputs, leaves, like, outputs_of

WIDE = {torch.float32: torch.float64}


class Wide(TorchDispatchMode):
    """Computes in double precision what a model asks to be computed in single."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*tree_map(_wide, args), **tree_map(_wide, kwargs or {}))


def _wide(value: Any) -> Any:
    return WIDE.get(value, value) if isinstance(value, torch.dtype) else value


def difference(
    whole: nn.Module, model: nn.Module, groups: Sequence[Group], remove: Removal, example: tuple[Tensor, ...]
) -> float:
    """Return the largest difference between the smaller and the masked net, as a part of the largest value.

    Args:
        whole: The net as it is written.
        model: What was cut: it, or what computes the same with the same parameters.
        groups: Its groups.
        remove: The numbers of the units that go, by group.
        example: Inputs.
    """
    wide = copy.deepcopy(whole).double()
    smaller, masked = cut(copy.deepcopy(model).double(), groups, remove), mask(wide, groups, remove)
    norms, kept = cut(wide, groups, remove), kept_indices(wide, groups, remove)
    for name, module in masked.named_modules():
        weight = f"{name}.weight"
        if is_norm_of_channels(module) and (weight, 0) in kept:
            instead = _on_the_rest(norms.get_submodule(name), kept[weight, 0], len(module.get_parameter("weight")))
            module.forward = instead
    wanted, found = (run_wide(one, example) for one in (masked, smaller))
    return max((relative(one, other) for one, other in zip(found, wanted, strict=True)), default=0.0)


def is_norm_of_channels(module: nn.Module) -> bool:
    """Return whether a module computes statistics over the channels that its weight scales."""
    kind = type(module).__name__
    if isinstance(module, nn.modules.batchnorm._NormBase) or "BatchNorm" in kind:
        return False
    return "Norm" in kind and getattr(module, "weight", None) is not None and module.weight.dim() == 1


def _on_the_rest(smaller: nn.Module, kept: list[int], width: int) -> Callable[[Tensor], Tensor]:
    index = torch.tensor(kept)

    def forward(x: Tensor) -> Tensor:
        kind = type(smaller).__name__
        first = isinstance(smaller, nn.GroupNorm) or kind.endswith("2d")
        dim = 1 if first and x.shape[1] == width else x.dim() - 1
        some = smaller(x.index_select(dim, index))
        return torch.zeros_like(x).index_copy(dim, index, some)

    return forward


def run_wide(model: nn.Module, example: tuple[Tensor, ...]) -> list[Tensor]:
    """Return what a net that holds doubles gives."""
    inputs = like(example, (value.double() if value.is_floating_point() else value.clone() for value in example))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), Wide():
            torch.manual_seed(0)
            return leaves(outputs_of(model.eval(), inputs if isinstance(inputs, Inputs) else Inputs(inputs)))
    finally:
        torch.set_default_dtype(before)


def relative(one: Tensor, other: Tensor) -> float:
    """Return the largest difference as a part of the largest value."""
    if one.shape != other.shape:
        return float("inf")
    scale = max(float(other.abs().max()), 1e-12)
    return float((one.double() - other.double()).abs().max()) / scale
