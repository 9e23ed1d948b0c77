"""What comes out of layers on real samples: ranges, shapes, and units that do nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.inspection.weights import Histogram, histogram
from workbench.jobs.progress import Progress
from workbench.model.twin import twin
from workbench.task.batch import call
from workbench.task.samples import Samples
from workbench.task.task import Split, Task

BATCH = 64
CHANNELS_SECOND = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.GroupNorm,
)


@dataclass(frozen=True)
class Activations:
    """Outputs of one layer, before whatever follows it.

    Attributes:
        layer: Its name.
        split: Where the samples come from.
        samples: How many were looked at. The facts below hold for these and no others.
        low: Smallest output, in the unit of the activations.
        high: Largest output.
        mean: Of all outputs.
        std: Of all outputs.
        histogram: Of all outputs.
        never_positive: Part of the units (output channels), 0 to 1, that gave no value above zero. Behind a ReLU
            such a unit is dead.
        constant: Part of the units that gave one and the same value everywhere.
        channel_low: Smallest output of each unit, [C].
        channel_high: Largest output of each unit, [C].
    """

    layer: str
    split: Split
    samples: int
    low: float
    high: float
    mean: float
    std: float
    histogram: Histogram
    never_positive: float
    constant: float
    channel_low: tuple[float, ...]
    channel_high: tuple[float, ...]


@dataclass
class _Sums:
    """What has been seen of one layer's outputs so far."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    high: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    counts: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        low, high = rows.amin(1), rows.amax(1)
        self.low = torch.minimum(self.low, low) if self.count else low
        self.high = torch.maximum(self.high, high) if self.count else high
        self.count += rows.numel()
        self.total += float(rows.double().sum())
        self.squares += float(rows.double().square().sum())

    def tally(self, rows: Tensor, bins: int) -> None:
        added = histogram(rows, bins, self.span)
        counts = torch.tensor(added.counts)
        self.counts = counts if self.counts is None else self.counts + counts

    @property
    def span(self) -> tuple[float, float]:
        return float(self.low.min()), float(self.high.max())


def observe_activations(
    model: nn.Module,
    task: Task,
    names: Sequence[str],
    *,
    split: Split = "calibration",
    batches: int = 4,
    bins: int = 80,
    progress: Progress | None = None,
) -> dict[str, Activations]:
    """Return facts about the outputs of the named layers on the first samples of a split.

    The model runs twice over the samples in evaluation mode: for the ranges, then for the histograms within
    them. It is left as it was. A layer that the forward does not reach is not in the result.

    Args:
        model: Any module that takes the task's inputs.
        task: Gives the samples.
        names: Names of submodules.
        split: Which samples: "calibration" or "validation"; not "test", which must not steer anything.
        batches: At most so many batches of 64.
        bins: Of each histogram.
        progress: Where progress is told, and cancelling asked.

    Raises:
        WorkbenchError: A name is not in the model, the split is "test" or not there, or an output is not finite.
    """
    modules = dict(model.named_modules())
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise WorkbenchError(f"the model has no layer {', '.join(unknown)}; it has {', '.join(list(modules)[1:6])}, …")
    if split == "test":
        raise WorkbenchError("the test split is for the final score only; look at calibration or validation")
    data, progress = task.split(split), progress or Progress()
    sums = {name: _Sums() for name in names}
    seen = min(len(data), batches * BATCH)
    first, second = progress.part(0.0, 0.5, "ranges"), progress.part(0.5, 1.0, "histograms")
    _run(model, names, data, seen, lambda name, rows: sums[name].add(rows), first)
    _run(model, names, data, seen, lambda name, rows: sums[name].tally(rows, bins), second)
    return {name: _facts(name, split, seen, sums[name], bins) for name in names if sums[name].count}


def _run(
    model: nn.Module,
    names: Sequence[str],
    data: Samples,
    seen: int,
    observe: Callable[[str, Tensor], None],
    progress: Progress,
) -> None:
    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            value = output if isinstance(output, Tensor) else output[0]
            observe(name, _by_unit(module, value, name))

        return hook

    watched = twin(model)
    for name in names:
        watched.get_submodule(name).register_forward_hook(watch(name))
    starts = range(0, seen, BATCH)
    with torch.inference_mode():
        for start in progress.over(starts, len(starts)):
            call(watched, data.batch(range(start, min(start + BATCH, seen)))[0])


def _by_unit(module: nn.Module, value: Tensor, name: str) -> Tensor:
    """Return outputs as [C, rest], float32. What is no convolution has its units last, unless it gives images."""
    if not torch.isfinite(value).all():
        raise WorkbenchError(f"{name} gives NaN or infinite outputs on these samples")
    second = isinstance(module, CHANNELS_SECOND) or value.ndim >= 4
    return value.detach().float().movedim(1 if second and value.ndim > 1 else -1, 0).flatten(1)


def _facts(name: str, split: Split, samples: int, sums: _Sums, bins: int) -> Activations:
    low, high = sums.span
    mean = sums.total / sums.count
    edges = histogram(torch.tensor([low, high]), bins).edges
    counts = sums.counts if sums.counts is not None else torch.zeros(bins, dtype=torch.long)
    return Activations(
        layer=name,
        split=split,
        samples=samples,
        low=low,
        high=high,
        mean=mean,
        std=max(sums.squares / sums.count - mean**2, 0.0) ** 0.5,
        histogram=Histogram(edges, tuple(int(count) for count in counts)),
        never_positive=float((sums.high <= 0).float().mean()),
        constant=float((sums.low == sums.high).float().mean()),
        channel_low=tuple(sums.low.tolist()),
        channel_high=tuple(sums.high.tolist()),
    )
