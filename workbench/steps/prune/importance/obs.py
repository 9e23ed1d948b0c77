"""Optimal Brain Surgeon, layer by layer: what a layer's outputs would lose, the other weights making up for it.

Hassibi, Stork: "Second order derivatives for network pruning: Optimal Brain Surgeon", 1993; for the mean squared error
of one layer's outputs, whose Hessian is that of least squares on the calibration inputs: Dong, Chen, Pan: "Learning to
Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon", 2017. A weight w_j scores w_j^2 / [H^-1]_jj with H the
second moments of the inputs; a channel what is lost when all weights that read it go and the others make up for them,
as in Kurtic, Frantar, Alistarh: "ZipLM: Inference-Aware Structured Pruning of Language Models", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.calibration import input_moments, inverse
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion
from workbench.steps.prune.importance.layer_inputs import layers_of, refuse, unreadable, unreadable_weight
from workbench.steps.prune.importance.slots import features
from workbench.task.device import device_of


def saliency(weight: Tensor, inverses: Tensor) -> Tensor:
    """Return w_j^2 / [H^-1]_jj in the weight's shape: the rise of the mean squared output error, weights updated.

    Args:
        weight: [out, ...].
        inverses: H^-1, [groups, d, d], d = weight[0].numel().
    """
    diagonal = inverses.diagonal(dim1=1, dim2=2)
    each = diagonal.repeat_interleave(len(weight) // len(diagonal), 0).view_as(weight)
    return weight.detach().double().square() / each


def unit_saliency(weight: Tensor, inverses: Tensor, owner: Tensor, units: int) -> Tensor:
    """Return for every unit of inputs w_S [(H^-1)_SS]^-1 w_S^T, summed over all outputs, float64 [units].

    Args:
        weight: [out, inputs / groups, ...].
        inverses: H^-1, [groups, d, d].
        owner: [inputs], the unit of each input, -1 for none.
        units: How many there are.
    """
    rows = weight.detach().double().reshape(len(inverses), -1, weight[0].numel())
    columns = owner.view(len(inverses), -1).repeat_interleave(weight[0, 0].numel(), 1)
    lost = rows.new_zeros(units)
    for row, matrix, column in zip(rows, inverses, columns, strict=True):
        for unit in column.unique()[column.unique() >= 0].tolist():
            chosen = (column == unit).nonzero().flatten()
            part = row[:, chosen]
            lost[unit] += (part * torch.linalg.solve(matrix[chosen][:, chosen], part.T).T).sum()
    return lost


@register
class OptimalBrainSurgeon(WeightCriterion):
    kind = "obs"
    position = 6
    title = "Optimal Brain Surgeon, layer-wise"
    needs_data = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return unreadable(model, group)

    def unfit_weight(self, model: nn.Module, parameter: str) -> str:
        return unreadable_weight(model, parameter)

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        layers = layers_of(model, parameters, self.title)
        scores = {
            layer: saliency(model.get_submodule(layer).get_parameter("weight"), inverse(moments.second))
            for layer, moments in input_moments(
                model, context.subject.task, list(dict.fromkeys(layers.values())), context.progress
            )
        }
        refuse([name for name, layer in layers.items() if layer not in scores], self.title, "its layer is not called")
        return {name: scores[layer] for name, layer in layers.items()}

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        layers = sorted({layer for group in groups for layer in group.consumers})
        device = device_of(model)
        scores = {group.name: torch.zeros(len(group.units), dtype=torch.float64, device=device) for group in groups}
        for layer, moments in input_moments(model, context.subject.task, layers, context.progress):
            inverses, weight = inverse(moments.second), model.get_submodule(layer).get_parameter("weight")
            for group in groups:
                if layer in group.consumers:
                    owner = features(model, group, layer)
                    scores[group.name] += unit_saliency(weight, inverses, owner, len(group.units))
        return scores
