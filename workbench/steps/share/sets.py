"""Which layers are to share a weight: the same places of repeated blocks, or whatever has one shape."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from torch import nn

from workbench.model.layers import Layer

NUMBER = re.compile(r"\d+")
Sets = list[tuple[Layer, ...]]


def layers_alike(rows: Sequence[Layer], model: nn.Module, across: str) -> Sets:
    """Return sets of two or more layers that can share a weight, each in the model's order, no layer in two of them.

    Args:
        rows: The layers to choose from.
        model: Theirs.
        across: "blocks": numbered blocks with the same layers; "places": the same place of numbered blocks, also where
            the blocks differ elsewhere; "shapes": whatever has one kind and shape.
    """
    if across == "blocks":
        return list(_blocks(rows, model))
    alike = defaultdict[Hashable, list[Layer]](list)
    for layer in rows:
        place = NUMBER.sub("#", layer.name) if across == "places" else ""
        alike[place, form(layer, model)].append(layer)
    return [tuple(some) for some in alike.values() if len(some) > 1]


def form(layer: Layer, model: nn.Module) -> Hashable:
    """Return what layers have in common that can share a weight."""
    weight = model.get_parameter(layer.parameter)
    return layer.kind, layer.shape, weight.dtype, weight.device


def in_runs(some: Sequence[Layer], groups: int) -> Sets:
    """Return a set in `groups` runs of layers that follow each other, as equal as can be, the longer ones first."""
    count, longer = divmod(len(some), groups)
    runs, start = [], 0
    for number in range(groups):
        end = start + count + (number < longer)
        runs.append(tuple(some[start:end]))
        start = end
    return [run for run in runs if len(run) > 1]


def _blocks(rows: Sequence[Layer], model: nn.Module) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers at the same place of blocks that are alike as a whole; outer blocks go before inner ones."""
    left = list(rows)
    deepest = max((len(NUMBER.findall(layer.name)) for layer in rows), default=0)
    for depth in range(deepest):
        blocks = defaultdict[tuple[str, str], list[tuple[str, Layer]]](list)
        for layer in left:
            if depth < len(numbers := list(NUMBER.finditer(layer.name))):
                before, number = layer.name[: numbers[depth].start()], numbers[depth].group()
                blocks[before, number].append((layer.name[numbers[depth].end() :], layer))
        alike = defaultdict[Hashable, list[list[Layer]]](list)
        for (before, _), own in blocks.items():
            whole = tuple((rest, form(layer, model)) for rest, layer in own)
            alike[before, whole].append([layer for _, layer in own])
        for same in alike.values():
            if len(same) > 1:
                yield from zip(*same, strict=True)
                gone = {layer.name for block in same for layer in block}
                left = [layer for layer in left if layer.name not in gone]
