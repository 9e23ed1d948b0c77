"""What a report says of each layer: before and after, as plain JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from workbench.inspection import histogram
from workbench.measure import Size
from workbench.model.layers import Layer
from workbench.model.subject import Subject
from workbench.steps import Context, State
from workbench.task.device import CPU

BINS = 60
DRAWN = 12
MOST_TICKS = 64


def layer_facts(subject: Subject, state: State, before: Size, after: Size) -> list[dict[str, Any]]:
    """Return a row for each layer of the subject or the state: its facts before and after, None where it is not."""
    context = Context(subject)
    original = State.of(subject)
    old = {layer.name: _facts(layer, original, before) for layer in context.layers(subject.model)}
    new = {layer.name: _facts(layer, state, after) for layer in context.layers(state.model)}
    return [{"name": name, "before": old.get(name), "after": new.get(name)} for name in dict.fromkeys([*old, *new])]


def _facts(layer: Layer, state: State, size: Size) -> dict[str, Any]:
    weight, coding = state.model.get_parameter(layer.parameter), state.codings.get(layer.parameter)
    return {
        "kind": layer.kind,
        "shape": list(layer.shape),
        "weights": weight.numel(),
        "nonzero": int(torch.count_nonzero(weight)),
        "macs": layer.macs,
        # A tied weight is in the file once, under the name that comes first there.
        "bytes": size.layers.get(layer.parameter),
        "bits": coding.bits if coding else weight.element_size() * 8,
        "coding": coding.kind if coding else "",
    }


def untouched(subject: Subject, state: State, size: Size) -> list[dict[str, Any]]:
    """Return the tensors of the file that no step has touched, with their bytes in it, the largest first."""
    before, after = subject.model.state_dict(), state.model.state_dict()
    same = [
        name
        for name in size.layers
        if name in before
        and subject.codings.get(name) is state.codings.get(name)
        and before[name].shape == after[name].shape
        and torch.equal(before[name], after[name])
    ]
    rows = [{"name": name, "bytes": size.layers[name]} for name in same]
    return sorted(rows, key=lambda row: -row["bytes"])


def weight_facts(subject: Subject, state: State) -> list[dict[str, Any]]:
    """Return histograms of the largest weights that changed, before and after over one span."""
    context = Context(subject)
    old = {layer.name: layer for layer in context.layers(subject.model)}
    rows: list[dict[str, Any]] = []
    for layer in sorted(context.layers(state.model), key=lambda layer: -layer.params):
        if layer.name not in old or len(rows) == DRAWN:
            continue
        before = subject.model.get_parameter(old[layer.name].parameter).detach()
        after = state.model.get_parameter(layer.parameter).detach()
        if before.shape != after.shape or not torch.equal(before, after):
            rows.append(_compared(layer.name, before, after, state.codings.get(layer.parameter)))
    order = list(old)
    return sorted(rows, key=lambda row: order.index(row["name"]))


def _compared(name: str, before: Tensor, after: Tensor, coding: Any) -> dict[str, Any]:
    span = (float(min(before.min(), after.min())), float(max(before.max(), after.max())))
    return {
        "name": name,
        "before": dataclasses.asdict(histogram(before, BINS, span)),
        "after": dataclasses.asdict(histogram(after, BINS, span)),
        "grid": _grid(coding),
        "threshold": _threshold(before, after),
    }


def _grid(coding: Any) -> list[float]:
    """Return the values that a weight can take, where there is one grid for all of it and few of them."""
    if coding is None or getattr(coding, "axis", None) is not None or coding.count > MOST_TICKS:
        return []
    return [float(value) for value in coding.on(CPU).values(torch.arange(coding.count))]


def _threshold(before: Tensor, after: Tensor) -> float | None:
    """Return the magnitude under which weights became zero, None where there is no such border."""
    if before.shape != after.shape:
        return None
    gone, staying = before[(after == 0) & (before != 0)].abs(), before[after != 0].abs()
    if not len(gone) or not len(staying) or float(gone.max()) > float(staying.min()) * 1.001:
        return None
    return float(gone.max())
