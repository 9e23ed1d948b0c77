"""In what precision a model is trained, and what follows for its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from workbench.task.batch import Tree, like

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Precision:
    """What large products are computed in.

    Attributes:
        dtype: Of autocast, None for the model's own.
    """

    dtype: torch.dtype | None = None

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled: gradients that are zero in float16 are not in a scaled loss.

        Micikevicius et al.: "Mixed Precision Training", 2018.
        """
        return self.dtype == torch.float16


def widened(model: nn.Module) -> nn.Module:
    """Return a model of half precision in float32, changed in place; any other as it is.

    Steps of a small rate are lost in half precision, and squares of gradients are zero, by which AdamW divides.
    Micikevicius et al., "Mixed Precision Training", 2018, section 3.1: a master copy of the weights in float32.
    """
    return model.float() if any(value.dtype in HALVES for value in model.parameters()) else model


def suited(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return inputs of half precision in the model's precision, where one is float32 and the other is not."""
    own = next(model.parameters()).dtype
    halves = [value.dtype in HALVES for value in inputs]
    if own == torch.float32 and any(halves):
        return like(inputs, (value.float() if half else value for value, half in zip(inputs, halves, strict=True)))
    if own in HALVES and any(value.dtype == torch.float32 for value in inputs):
        return like(inputs, (value.to(own) if value.dtype == torch.float32 else value for value in inputs))
    return inputs


def full(outputs: Tree) -> Tree:
    """Return outputs in no less than float32, in which losses are computed."""
    return tree_map(lambda value: value.float() if value.dtype in HALVES else value, outputs)
