"""What no step for weights can touch: biases, norms, buffers, and whatever else is in no layer's weight."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.model.layers import Layer

TOLD = 0.1  # of a model's bytes, from which on it is said
NAMED = 3


def outside_of_layers(model: nn.Module, layers: Sequence[Layer]) -> tuple[dict[str, int], float]:
    """Return the bytes of all that is stored beside the layers' weights, the largest first, and their share of all."""
    weights = {model.get_parameter(layer.parameter).data_ptr() for layer in layers}
    stored: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor) and value.numel():
            stored.setdefault(value.data_ptr(), (name, value))
    sizes = {key: value.numel() * value.element_size() for key, (_, value) in stored.items()}
    others = {stored[key][0]: size for key, size in sizes.items() if key not in weights}
    ordered = dict(sorted(others.items(), key=lambda pair: -pair[1]))
    return ordered, sum(others.values()) / max(sum(sizes.values()), 1)


def untouched_note(title: str, model: nn.Module, layers: Sequence[Layer]) -> list[str]:
    """Return a note on what a step for layers' weights cannot touch, where that is much of a model."""
    others, share = outside_of_layers(model, layers)
    if share < TOLD:
        return []
    names = ", ".join(list(others)[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
    return [f"{title.lower()}: {share:.0%} of the model's bytes are in no layer's weight and stay as they are: {names}"]
