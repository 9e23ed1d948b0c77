"""Weight sharing: a layer's weights become one of a few values that suit them best.

Han, Mao, Dally: "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
Coding", 2016. Centroids start evenly spaced over the range, which the paper found best; zeros stay zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from workbench.checkpoint.coding import Codebook, Coding
from workbench.model.layers import Layer
from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import GENERAL
from workbench.steps.state import State
from workbench.steps.step import Stage
from workbench.task.device import CPU

MOST_VALUES = 100_000


def centroids(weight: Tensor, count: int) -> Tensor:
    """Return at most `count` rising values, float32, that k-means finds in a weight; 0.0 is one if any weight is.

    Of more than 100,000 weights, evenly spread ranks stand for all.
    """
    values = weight.detach().float().flatten()
    zero = bool((values == 0).any())
    values = values[values != 0].sort().values
    if len(values) > MOST_VALUES:
        values = values[torch.linspace(0, len(values) - 1, MOST_VALUES).long()]
    count -= zero
    distinct = torch.unique(values)
    if len(distinct) > count:
        distinct = _clustered(values, count)
    centroids: Tensor = torch.unique(torch.cat([distinct, values.new_zeros(int(zero))]))
    return centroids


def _clustered(values: Tensor, count: int) -> Tensor:
    from sklearn.cluster import KMeans  # slow to import

    start = np.linspace(float(values[0]), float(values[-1]), count).reshape(-1, 1)
    clusters = KMeans(count, init=start, n_init=1, tol=1e-5).fit(values.double().to(CPU).numpy().reshape(-1, 1))
    return torch.from_numpy(clusters.cluster_centers_).flatten().float().to(values.device)


@register
@dataclass(frozen=True, kw_only=True)
class ShareWeights(CodingStep):
    """Lets many weights of a layer share one value. The file holds short codes and a codebook for each layer."""

    kind: ClassVar[str] = "share_weights"
    title: ClassVar[str] = "Share weights"
    also: ClassVar[str] = "k-means clustering codebook palettization"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 3
    stage: ClassVar[Stage] = Stage.QUANTIZE
    summary: ClassVar[str] = (
        "Replaces the weights of each layer by a few shared values that k-means finds. The file gets smaller; "
        "it does not get faster, because kernels look the values up first."
    )
    strength: ClassVar[str] = "bits"
    amounts: ClassVar[tuple[float, ...]] = (6, 5, 4, 3, 2)
    strength_counts_bits: ClassVar[bool] = True

    bits: int = option(4, "Width of a code; 2 to this power values are shared.", unit="bit", low=1, high=8, step=1)
    rounding: str = option("nearest", ROUNDING_HELP, choices=GENERAL, more=True)

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        return encoded(state, context, self.chosen(context.layers(state.model)), self._book, self.rounding)

    def _book(self, weight: Tensor, layer: Layer) -> Coding:
        return Codebook(self.bits, centroids(weight, 2**self.bits))
