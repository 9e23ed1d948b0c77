"""Uniform quantization: weights, and if wanted activations, on an integer grid.

Jacob et al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
2018; Nagel et al.: "A White Paper on Neural Network Quantization", 2021.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import BINS, RANGES, Uniform, grid, histogram_range
from workbench.errors import WorkbenchError
from workbench.graph import fold_batchnorm, followers, summed_inputs
from workbench.jobs.turn import TURN
from workbench.model.layers import Layer
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, attach, entering, rounded_bias, simulate
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.bounds import Bounds, percentile_within
from workbench.steps.calibration import calibration_batches
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import ROUNDINGS
from workbench.steps.state import State
from workbench.steps.step import Axes, Need, Stage
from workbench.task.batch import call
from workbench.task.device import CPU, device_of


@register
@dataclass(frozen=True, kw_only=True)
class Quantize(CodingStep):
    """Rounds weights to a grid of few bits, and activations too where asked. The file shrinks with the bits."""

    kind: ClassVar[str] = "quantize"
    title: ClassVar[str] = "Quantize"
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
        quantizers = {place: ActivationQuantizer(self.activations, *reach, device) for place, reach in ranges.items()}
        values = {name: change.weight for name, change in changes.items()}
        for (name, place), quantizer in quantizers.items():
            bias = getattr(model.get_submodule(name), "bias", None)
            if place == INPUT and isinstance(bias, Tensor):
                coding = marked.codings[chosen[name]]
                values[f"{name}.bias" if name else "bias"] = rounded_bias(bias.detach(), coding, quantizer)
        built = sharing_copy(model, values)
        for (name, place), quantizer in quantizers.items():
            attach(built.get_submodule(name), place, quantizer)
        skipped |= dict.fromkeys((layer.name for layer in layers if not _has_kernel(layer)), NO_KERNEL)
        notes = [f"{name}: its activations stay in floating point ({why})" for name, why in skipped.items()]
        notes += self.remarks(folded, context)
        notes += [
            f"{name}: stored in full again, because its BatchNorm was folded into it"
            for name in state.codings
            if name not in marked.codings
        ]
        return replace(marked, model=built).with_notes(*notes)


Place = tuple[str, str]
NO_KERNEL = "only what enters linear layers and convolutions is put on a grid"


def _has_kernel(layer: Layer) -> bool:
    """Return whether what enters a layer is what its weight is multiplied with, as integer kernels have it."""
    return layer.is_whole and layer.parameter.endswith("weight") and layer.kind.startswith(("conv", "linear", "emb"))


Ranges = dict[Place, tuple[float, float]]


def observe(
    model: nn.Module,
    names: Iterable[str],
    context: Context,
    chosen: Callable[[Tensor, float, float], Any] | None = None,
) -> tuple[Ranges, dict[str, str]]:
    """Return the range of values at the input and output of each layer, over the calibration split.

    Outputs are looked at where an integer kernel has to write integers again, which is at convolutions; a sum
    of products in a linear layer can go on as it is. An output that only a ReLU reads is looked at after it, so
    that the grid spends nothing on values that are cut off. Layers that take no floating-point input
    (embeddings) or were not reached are named with why not.

    Args:
        model: Left as it is.
        names: Of its layers.
        context: Gives the calibration split.
        chosen: From a histogram with its bounds to a range; None for smallest and largest value.
    """
    wanted = list(names)
    ranges: Ranges = {}

    def widen(place: Place, value: Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(value))
        old = ranges.get(place, (low, high))
        ranges[place] = min(old[0], low), max(old[1], high)

    _watch(model, wanted, context, widen, "calibrating activation ranges")
    skipped = {
        name: "it takes no floating-point tensor or was not reached" for name in wanted if (name, INPUT) not in ranges
    }
    if chosen is None:
        return ranges, skipped
    device = device_of(model)
    counts = {place: torch.zeros(BINS, device=device) for place in ranges}

    def count(place: Place, value: Tensor) -> None:
        counts[place] += torch.histc(value, BINS, *ranges[place])

    _watch(model, wanted, context, count, "counting activations")
    return {place: chosen(counts[place].to(CPU), *ranges[place]) for place in ranges}, skipped


def makers(model: nn.Module, names: Iterable[str], example: tuple[Tensor, ...]) -> dict[str, str]:
    """Return modules that make what a named layer and a shortcut read, with that layer's name.

    Rounded where it is made, such a value is on one grid for both, and the sum behind is one of integers. The module is
    the innermost that is called once and gives the value as it is read.

    Args:
        model: Left as it is.
        names: Layers with a grid for what enters them.
        example: Inputs.
    """
    watched = twin(model)
    simulate(watched, False)  # grids of an earlier step would be operators in between
    wanted = summed_inputs(watched, example).intersection(names)
    calls: Counter[str] = Counter()
    outputs: list[tuple[Tensor, int, str]] = []
    read: dict[str, list[str]] = {}

    def give(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            calls[name] += 1
            if isinstance(output, Tensor):
                outputs.append((output, output._version, name))

        return hook

    def take(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            # What was changed in place since it was given is another value in the same tensor.
            mine = entering(args, kwargs)
            read[name] = [maker for value, version, maker in outputs if value is mine and version == value._version]

        return hook

    for name, module in watched.named_modules():
        if not isinstance(module, ActivationQuantizer):
            module.register_forward_hook(give(name))
        if name in wanted:
            module.register_forward_pre_hook(take(name), with_kwargs=True)
    with TURN, torch.no_grad():
        call(watched, example)
    maker_of: dict[str, str] = {}
    for layer, candidates in read.items():
        maker = next((name for name in candidates if name and calls[name] == 1), None)
        if maker is not None:
            maker_of.setdefault(maker, layer)
    return maker_of


def _watch(
    model: nn.Module, names: Iterable[str], context: Context, look: Callable[[Place, Tensor], None], message: str
) -> None:
    after_relu = followers(model, context.example())

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            mine = entering(args, kwargs)
            if isinstance(mine, Tensor) and mine.is_floating_point() and isinstance(output, Tensor):
                look((name, INPUT), mine)
                if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                    look((name, OUTPUT), output.relu() if after_relu.get(name) == "relu" else output)

        return hook

    watched = twin(model)
    for name in names:
        watched.get_submodule(name).register_forward_hook(watch(name), with_kwargs=True)
    for inputs, _ in calibration_batches(context.subject.task, context.progress, message):
        with TURN, torch.no_grad():
            call(watched, inputs)
