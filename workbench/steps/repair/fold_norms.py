"""Batch norms folded into the layers before them: fewer parameters, the same outputs.

Jacob et al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
section 3.2. What a norm multiplies with goes into the weights, what it adds into the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.errors import WorkbenchError
from workbench.graph import fold_batchnorm
from workbench.model.quantizer import quantizers
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need


@register
@dataclass(frozen=True, kw_only=True)
class FoldNorms(GraphStep):
    """Folds batch norms into the layers before them. The model computes the same as before."""

    kind: ClassVar[str] = "fold_norms"
    title: ClassVar[str] = "Fold norms"
    also: ClassVar[str] = "batch norm fusion BN folding"
    summary: ClassVar[str] = (
        "Folds batch norms into the convolutions and linear layers before them. Outputs stay the same and the file "
        "loses four numbers a channel, but training on is harder without norms: recover first."
    )
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 1
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear")

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids, and their norms are folded already")
        chosen = {layer.name for layer in self.chosen(context.layers(state.model))}
        model = fold_batchnorm(state.model, context.example(), chosen)
        if norms(model) == norms(state.model):
            note = f"{self.title.lower()}: no batch norm alone reads one of the chosen layers"
            return state.with_notes(note)
        return state.with_model(model, why="its norm was folded into it")


def norms(model: nn.Module) -> int:
    """Return how many batch norms a model has."""
    return sum(isinstance(module, _BatchNorm) for module in model.modules())
