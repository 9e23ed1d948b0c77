"""How long each layer takes, one pass at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.model.layers import LOOSE, Layer
from workbench.model.twin import twin
from workbench.task.batch import call

PASSES = 12


def layer_times(
    model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[Layer], progress: Progress | None = None
) -> dict[str, float]:
    """Return the median seconds that each layer's module takes in PyTorch, as operators run one by one.

    Weights of one module share its time in equal parts, so that a sum over layers is the time of their modules.
    """
    progress = progress or Progress()
    modules: dict[str, list[str]] = {}
    for layer in layers:
        if layer.kind != LOOSE and not any(layer.module.startswith(f"{other}.") for other in modules):
            modules.setdefault(layer.module, []).append(layer.name)
    watched, spent = twin(model), {name: list[float]() for name in modules}
    for name in modules:
        _watch(watched.get_submodule(name), spent[name])
    for _ in progress.over(range(PASSES), PASSES, "timing each layer"):
        before = {name: len(times) for name, times in spent.items()}
        with TURN, torch.no_grad():
            call(watched, example)
        for name, times in spent.items():  # a module that is called again takes all its calls
            times[before[name] :] = [sum(times[before[name] :])]
    return {
        layer: median(spent[name][1:]) / len(names) for name, names in modules.items() for layer in names if spent[name]
    }


def _watch(module: nn.Module, times: list[float]) -> None:
    started: list[float] = []

    def begin(*_: Any) -> None:
        started.append(time.perf_counter())

    def end(*_: Any) -> None:
        times.append(time.perf_counter() - started.pop())

    module.register_forward_pre_hook(begin)
    module.register_forward_hook(end)
