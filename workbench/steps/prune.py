"""Unstructured pruning: the least important weights become zero.

Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.importance import WEIGHT_CRITERIA, rank_weights
from workbench.steps.option import option
from workbench.steps.state import Context, State
from workbench.steps.step import Change, WeightStep


def keep_masks(scores: Mapping[str, Tensor], amount: float, together: bool) -> dict[str, Tensor]:
    """Return for every tensor of scores a mask of its shape, true where the weight stays.

    Exactly `floor(amount * n)` weights go: of each tensor, or of all of them ranked `together`. Of equal
    scores the first ones go.
    """
    if not together:
        return {name: keep_masks({name: score}, amount, together=True)[name] for name, score in scores.items()}
    flat = torch.cat([score.flatten().float() for score in scores.values()])
    keep = torch.ones(len(flat), dtype=torch.bool)
    drop = int(amount * len(flat))
    if drop:
        # Far cheaper than sorting; the exact number is restored among the scores that equal the threshold.
        threshold = flat.kthvalue(drop).values
        keep[flat < threshold] = False
        equal = (flat == threshold).nonzero().flatten()
        keep[equal[: drop - int((~keep).sum())]] = False
    parts = torch.split(keep, [score.numel() for score in scores.values()])
    return {name: part.view_as(score) for part, (name, score) in zip(parts, scores.items(), strict=True)}


@dataclass(frozen=True, kw_only=True)
class Prune(WeightStep):
    """Sets the least important weights to zero. The file shrinks; dense kernels run as fast as before."""

    kind: ClassVar[str] = "prune"
    title: ClassVar[str] = "Prune weights"
    summary: ClassVar[str] = (
        "Sets the least important single weights to zero. The file gets smaller, because zeros are not "
        "stored; it does not get faster, because dense kernels multiply zeros too."
    )
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.3, 0.5, 0.7, 0.9)

    amount: float = option(0.5, "Part of the weights that becomes zero.", low=0.0, high=1.0, step=0.01)
    importance: str = option("magnitude", "What decides which weights matter.", choices=tuple(WEIGHT_CRITERIA))
    ranking: str = option(
        "local",
        "Local takes the same part of every layer; global ranks the weights of all layers together.",
        choices=("local", "global"),
    )

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        # Tied layers share one parameter: it is pruned once, under its first name.
        by_tensor = {
            id(state.model.get_parameter(layer.parameter)): layer.parameter
            for layer in reversed(self.chosen(context.layers(state.model)))
        }
        names = list(dict.fromkeys(reversed(by_tensor.values())))
        scores = rank_weights(WEIGHT_CRITERIA[self.importance], state.model, names, context)
        masks = keep_masks(scores, self.amount, self.ranking == "global")
        return {
            name: Change(state.model.get_parameter(name).detach().masked_fill(~mask, 0.0), pruned=True)
            for name, mask in masks.items()
        }
