"""Uniform quantization: weights, and if wanted activations, on an integer grid.

Jacob et al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
2018; Nagel et al.: "A White Paper on Neural Network Quantization", 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from workbench.checkpoint.coding import RANGES, Uniform, grid, histogram_range
from workbench.errors import WorkbenchError
from workbench.graph import fold_batchnorm
from workbench.model.layers import Layer
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, attach, rounded_bias
from workbench.model.twin import sharing_copy
from workbench.registry import register
from workbench.steps.bounds import Bounds, percentile_within
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.activation_grids import makers, mark_halves, observe
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import ROUNDINGS
from workbench.steps.state import State
from workbench.steps.step import Axes, Need, Stage
from workbench.task.device import device_of


@register
@dataclass(frozen=True, kw_only=True)
class Quantize(CodingStep):
    """Rounds weights to a grid of few bits, and activations too where asked. The file shrinks with the bits."""

    kind: ClassVar[str] = "quantize"
    title: ClassVar[str] = "Quantize"
    also: ClassVar[str] = "int8 int4 PTQ integers grid GPTQ AdaRound QuantEase"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.QUANTIZE
    searched: ClassVar[bool] = True
    axes: ClassVar[Axes] = {"rounding": ("nearest", "second-order")}
    summary: ClassVar[str] = (
        "Rounds weights to whole numbers of few bits times a scale; with activation bits also what flows "
        "between layers, which lets integer kernels run. Weights alone make the file smaller, not faster."
    )
    strength: ClassVar[str] = "bits"
    amounts: ClassVar[tuple[float, ...]] = (8, 6, 4, 3, 2)
    strength_counts_bits: ClassVar[bool] = True

    bits: int = option(8, "Width of a weight.", unit="bit", low=2, high=8, step=1)
    granularity: str = option(
        "channel",
        "One scale for each output channel, for groups of inputs of each, or one for the tensor.",
        choices=("channel", "group", "tensor"),
    )
    group: int = option(
        16, "Input channels that share a scale, with granularity group.", unit="channels", low=1, high=1024,
        more=True,
    )  # fmt: skip
    symmetric: bool = option(
        True, "Same range on both sides of zero; integer kernels want this for weights.", more=True
    )
    ranges: str = option(
        "min-max",
        "What a weight's grid holds: every value, a percentile of them, or what makes the squared error least.",
        choices=RANGES,
    )
    rounding: str = option("nearest", ROUNDING_HELP, choices=ROUNDINGS, more=True)
    activations: int = option(
        0,
        "Width of what flows between layers; 0 leaves it in floating point.",
        unit="bit",
        low=0,
        high=8,
        step=1,
    )
    activation_ranges: str = option(
        "min-max",
        "What an activation's grid holds: every value seen, a percentile, what makes the squared error least, or what "
        "keeps the distribution (entropy).",
        choices=(*RANGES, "entropy"),
        more=True,
    )
    percentile: float = option(
        99.9, "Part of the values that a grid holds, with percentile ranges.", unit="%", low=50.0, high=100.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activations == 1:
            raise WorkbenchError(f"{self.title}: activations must be 0 or 2 to 8 bits, not 1")

    @property
    def overlays(self) -> bool:
        return not self.activations

    def bounds(self, weight: Tensor, layer: Layer) -> Bounds | None:
        if self.granularity == "group":
            return None
        grid = self._grid(weight, layer)
        low, high = (float(edge) for edge in grid.reach)
        return Bounds(low, high, "outside", "percentile", self.symmetric)

    def with_bounds(self, weight: Tensor, layer: Layer, low: float, high: float) -> Self:
        rows = weight.detach().float()
        rows = rows.reshape(1, -1) if self.granularity == "tensor" else rows.movedim(layer.outputs, 0).flatten(1)
        before = self.bounds(weight, layer)
        moved = before is not None and abs(low - before.low) > abs(high - before.high)
        side = rows.abs() if self.symmetric else -rows if moved else rows
        percentile = max(round(percentile_within(side, -low if moved else high), 2), 50.0)
        return replace(self, ranges="min-max" if percentile >= 100 else "percentile", percentile=min(percentile, 100.0))

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        return encoded(state, context, self.chosen(context.layers(state.model)), self._grid, self.rounding)

    def _grid(self, weight: Tensor, layer: Layer) -> Uniform:
        axis = None if self.granularity == "tensor" else layer.outputs
        group = self.group if self.granularity == "group" else 0
        return grid(weight, self.bits, axis, self.symmetric, self.ranges, self.percentile, group)

    @property
    def _range(self) -> Callable[[Tensor, float, float], tuple[float, float]] | None:
        if self.activation_ranges == "min-max":
            return None
        how, percentile = self.activation_ranges, self.percentile
        return lambda counts, low, high: histogram_range(counts, low, high, self.activations, how, percentile)

    def needs(self) -> frozenset[Need]:
        return super().needs() | ({Need.CALIBRATION, Need.GRAPH} if self.activations else set())

    def build(self, state: State, context: Context) -> State:
        if not self.activations:
            return super().build(state, context)
        if not context.subject.task.has("calibration"):
            raise WorkbenchError(
                f"{self.title}: activation ranges need train or calibration data; the task has neither"
            )
        layers = self.chosen(context.layers(state.model))
        chosen = {layer.module: layer.parameter for layer in layers if _has_kernel(layer)}
        for name, parameter in chosen.items():
            if (dtype := state.model.get_parameter(parameter).dtype) != torch.float32:
                raise WorkbenchError(
                    f"{self.title}: {name} is {dtype}; integer kernels read and write float32, so activations can "
                    "only be quantized in a float32 model. Use model.float(), or activations=0"
                )
        # Integer kernels take a convolution with its bias; a BatchNorm between it and the next rounding would
        # force the sum back into floating point.
        model = fold_batchnorm(state.model, context.example(), chosen)
        folded = state.with_model(model)
        ranges, skipped = observe(model, chosen, context, self._range)
        entered = [name for name, place in ranges if place == INPUT]
        for maker, name in makers(model, entered, context.example()).items():
            ranges.setdefault((maker, OUTPUT), ranges[name, INPUT])
        changes = self.changes(folded, context)
        marked = folded.marked(changes)
        device = device_of(model)
        grids = {place: ActivationQuantizer(self.activations, *reach, device) for place, reach in ranges.items()}
        values = {name: change.weight for name, change in changes.items()}
        for (name, place), quantizer in grids.items():
            bias = getattr(model.get_submodule(name), "bias", None)
            if place == INPUT and isinstance(bias, Tensor):
                coding = marked.codings[chosen[name]]
                values[f"{name}.bias" if name else "bias"] = rounded_bias(bias.detach(), coding, quantizer)
        built = sharing_copy(model, values)
        for (name, place), quantizer in grids.items():
            attach(built.get_submodule(name), place, quantizer)
        mark_halves(built, context.example())
        skipped |= dict.fromkeys((layer.name for layer in layers if not _has_kernel(layer)), NO_KERNEL)
        notes = [f"{name}: its activations stay in floating point ({why})" for name, why in skipped.items()]
        notes += self.remarks(folded, context)
        notes += [
            f"{name}: stored in full again, because its BatchNorm was folded into it"
            for name in state.codings
            if name not in marked.codings
        ]
        return replace(marked, model=built).with_notes(*notes)


NO_KERNEL = "only what enters linear layers and convolutions is put on a grid"


def _has_kernel(layer: Layer) -> bool:
    """Return whether what enters a layer is what its weight is multiplied with, as integer kernels have it."""
    return layer.is_whole and layer.parameter.endswith("weight") and layer.kind.startswith(("conv", "linear", "emb"))
