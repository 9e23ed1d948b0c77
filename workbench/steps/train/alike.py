"""Whether what a file says of a training is of the form that the training itself would write.

Optimizers and schedules of torch take nearly anything and trip over it later, in the middle of an epoch: a step count
below zero divides by zero there, a schedule that is said to be over raises. So all that moves in training is compared
with what the training has now, by form, and all that does not move by value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from workbench.task.device import CPU

# What schedules move, and what it may be.
MOVING = {
    "lr": (0.0, math.inf),
    "momentum": (0.0, 1.0),
    "_last_lr": (0.0, math.inf),
    "scale": (0.0, math.inf),
    "_growth_tracker": (0, 2**31),
    "last_epoch": (0, 2**31),
    "_step_count": (0, 2**31),
}
# An option that only one of the optimizers has, and what that keeps of each parameter.
ENTRIES = {"betas": {"step", "exp_avg", "exp_avg_sq"}, "nesterov": {"momentum_buffer"}}
FREE = ("_is_initial", "_get_lr_called_within_step")  # of torch's own, which only tell how it was called last


def alike(own: Any, other: Any, key: str = "") -> bool:
    """Return whether plain values and tensors are those of the same training at another time.

    Args:
        own: What the training has.
        other: What a file says, of any kind whatsoever.
        key: The name that both have; of those in `MOVING` the value may differ.
    """
    if type(own) is not type(other):
        return False
    if isinstance(own, Tensor):
        return same_form(own, other)
    if isinstance(own, Mapping):
        return own.keys() == other.keys() and all(alike(own[name], other[name], str(name)) for name in own)
    if isinstance(own, list | tuple):
        betas = key == "betas"
        return len(own) == len(other) and all(
            within(b, 0.0, 1.0) if betas else alike(a, b, key) for a, b in zip(own, other, strict=True)
        )
    if key in MOVING:
        return within(other, *MOVING[key])
    return key in FREE or bool(own == other)


def within(value: Any, low: float, high: float) -> bool:
    """Return whether something is a number from `low` to below `high`."""
    return type(value) in (int, float) and low <= value < high


def same_form(own: Tensor, other: Any) -> bool:
    """Return whether something is a dense tensor of the same shape and kind that holds finite numbers."""
    return (
        type(other) is Tensor
        and not other.is_nested
        and not other.is_quantized
        and other.layout == own.layout == torch.strided
        and other.device == CPU  # as files are read, wherever the training is; one without values says "meta"
        and (other.dtype, other.shape) == (own.dtype, own.shape)
        and bool(torch.isfinite(other).all())
    )


def optimizer_alike(own: Mapping[str, Any], other: Any, parameters: list[Tensor], batches: int) -> bool:
    """Return whether an optimizer's state may be one after so many batches.

    Args:
        own: The state of the training's optimizer.
        other: What a file says.
        parameters: What is trained, in the optimizer's order.
        batches: Steps that were taken; a scaled loss may have skipped some.
    """
    if type(other) is not dict or other.keys() != own.keys() or not alike(own["param_groups"], other["param_groups"]):
        return False
    names: set[str] = set()
    names = names.union(*(entries for option, entries in ENTRIES.items() if option in own["param_groups"][0]))
    return type(other["state"]) is dict and all(
        type(number) is int
        and 0 <= number < len(parameters)
        and type(entries) is dict
        and entries.keys() == names
        and all(_entry(name, value, parameters[number], batches) for name, value in entries.items())
        for number, entries in other["state"].items()
    )


def _entry(name: str, value: Any, parameter: Tensor, batches: int) -> bool:
    if name == "step":
        return same_form(torch.tensor(0.0), value) and 0 <= float(value) <= batches
    return same_form(parameter, value) and (name != "exp_avg_sq" or bool((value >= 0).all()))


def states_fit(facts: Mapping[str, Any], device: torch.device) -> bool:
    """Return whether generators take their states, that of chance on a device; tried, since torch alone can tell."""
    order, chance = facts["order"], facts["chance"]
    ordering, drawing = torch.Generator(), torch.Generator(device)
    if type(chance) is not dict or chance.keys() != {"generator", "quiet"} or not within(chance["quiet"], 0, 2**31):
        return False
    if not same_form(ordering.get_state(), order) or not same_form(drawing.get_state(), chance["generator"]):
        return False
    try:
        ordering.set_state(order)
        drawing.set_state(chance["generator"])
    except RuntimeError:
        return False
    return True
