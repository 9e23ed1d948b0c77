"""Bias correction: what compression shifts on average at a layer's outputs is taken out of its bias.

Nagel et al.: "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2, in the
empirical form: the means are those of calibration data. Layers are corrected in the order of the forward pass,
each with the inputs that it gets from those already corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.errors import WorkbenchError
from workbench.jobs.turn import TURN
from workbench.model.quantizer import INPUT, entering, rounded_bias
from workbench.model.twin import twin
from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Need, WeightStep
from workbench.task.batch import call


@dataclass(frozen=True)
class Place:
    """Where a layer is corrected.

    Attributes:
        seen: The module of the uncompressed model whose means are wanted: the layer, or the batch norm that reads it.
        corrected: The module that gets them by its bias: the same, or the layer if the norm was folded into it.
    """

    seen: str
    corrected: str


def channel_means(output: Tensor, last: bool) -> Tensor:
    """Return the mean of every channel, [C], of outputs [N, C, ...], or [..., C] where channels are `last`."""
    wide = output.detach().double()
    return wide.flatten(0, -2).mean(0) if last else wide.transpose(0, 1).flatten(1).mean(1)


def places(model: nn.Module, original: nn.Module, names: list[str], inputs: tuple[Tensor, ...]) -> list[Place]:
    """Return where the named layers can be corrected, in the order of the forward pass.

    Left out are layers that are not called exactly once, have no bias and no batch norm behind them, or whose
    outputs have another number of channels than in the original.
    """
    norms = [name for name, module in original.named_modules() if isinstance(module, _BatchNorm)]
    calls: list[str] = []
    outputs: dict[str, Any] = {}
    readers: dict[str, str] = {}

    def called(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if name in wanted:
                calls.append(name)
                outputs[name] = output
            else:
                mine = entering(args, kwargs)
                readers.update({layer: name for layer, value in outputs.items() if mine is value})

        return hook

    watched, wanted = twin(model), set(names)
    modules = dict(watched.named_modules())
    for name in (*names, *(norm for norm in norms if norm in modules)):
        modules[name].register_forward_hook(called(name), with_kwargs=True)
    with TURN, torch.no_grad():
        call(watched, inputs)
    rows = []
    for layer in dict.fromkeys(name for name in calls if calls.count(name) == 1):
        norm = readers.get(layer)
        place = Place(layer, layer)
        if norm is not None:
            place = Place(norm, norm if isinstance(modules[norm], _BatchNorm) else layer)
        bias = getattr(modules[place.corrected], "bias", None)
        if isinstance(bias, nn.Parameter) and _channels(original, place.seen) == len(bias):
            rows.append(place)
    return rows


def _channels(model: nn.Module, name: str) -> int | None:
    module = dict(model.named_modules()).get(name)
    sizes = [getattr(module, size, None) for size in ("out_channels", "out_features", "num_features")]
    return next((size for size in sizes if size is not None), None)


def _last(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def means(model: nn.Module, names: list[str], inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Return the channel means of the named modules' outputs, float64 [C] each."""
    by_layer: dict[str, Tensor] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Tensor) -> None:
            by_layer[name] = channel_means(output, _last(module))

        return hook

    watched = twin(model)
    for name in names:
        watched.get_submodule(name).register_forward_hook(look(name))
    with TURN, torch.no_grad():
        call(watched, inputs)
    return by_layer


def corrected(
    model: nn.Module,
    where: list[Place],
    wanted: Mapping[str, Tensor],
    inputs: tuple[Tensor, ...],
    settle: Callable[[str, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return new biases by the module's name, with which its outputs have the wanted means.

    Args:
        model: Left as it is.
        where: In the order of the forward pass.
        wanted: Means by the name of the module that was seen, float64 [C].
        inputs: All samples at once.
        settle: From a module's name and bias to the bias that it can have.
    """
    biases: dict[str, Tensor] = {}
    watched = twin(model)

    def correct(place: Place) -> Callable[..., Tensor]:
        def hook(module: nn.Module, _: Any, output: Tensor) -> Tensor:
            old = module.get_parameter("bias").detach()
            shift = wanted[place.seen] - channel_means(output, last := _last(module))
            biases[place.corrected] = new = settle(place.corrected, (old + shift).to(old.dtype))
            moved = new - old
            return output + (moved if last else moved.view(-1, *[1] * (output.ndim - 2)))

        return hook

    for place in where:
        # Before the rounding of outputs, which is such a hook too.
        watched.get_submodule(place.corrected).register_forward_hook(correct(place), prepend=True)
    with TURN, torch.no_grad():
        call(watched, inputs)
    return biases


@register
@dataclass(frozen=True, kw_only=True)
class CorrectBias(WeightStep):
    """Shifts biases so that each layer's outputs have the means that they had before any compression."""

    kind: ClassVar[str] = "correct_bias"
    title: ClassVar[str] = "Correct biases"
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 5
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear")
    summary: ClassVar[str] = (
        "Shifts the biases of compressed layers, or of the batch norms behind them, so that their outputs on "
        "calibration data have the means of the uncompressed model. Costs no bytes and no time."
    )

    samples: int = option(256, "Calibration samples to take the means of.", unit="samples", low=1, high=10_000)

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.CALIBRATION}

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        chosen = self.chosen(context.layers(state.model))
        task, original = context.subject.task, context.subject.model
        if not task.has("calibration"):
            raise WorkbenchError(f"{self.title}: it needs train or calibration data; the task has neither")
        names = [layer.name for layer in chosen if layer.is_whole and self.acts_on(layer)]
        where = places(state.model, original, names, context.example())
        if not where:
            raise WorkbenchError(
                f"{self.title}: none of {', '.join(layer.name for layer in chosen[:3])} has a bias or a batch norm "
                "behind it, and as many outputs as the uncompressed model's"
            )
        data = task.split("calibration")
        inputs, _ = data.batch(range(min(len(data), self.samples)))
        context.progress.update(0.0, "means of the uncompressed model")
        wanted = means(original, [place.seen for place in where], inputs)
        context.progress.update(0.5, "correcting biases")

        def settle(name: str, bias: Tensor) -> Tensor:
            module = state.model.get_submodule(name)
            coding, entry = state.codings.get(f"{name}.weight" if name else "weight"), getattr(module, INPUT, None)
            return rounded_bias(bias, coding, entry) if coding is not None and entry is not None else bias

        biases = corrected(state.model, where, wanted, inputs, settle)
        return {f"{name}.bias" if name else "bias": Change(bias) for name, bias in biases.items()}
