"""Facts about every compressible layer, and choosing layers by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.model.twin import twin
from workbench.task.batch import batch_size, call

KINDS: dict[type[nn.Module], str] = {
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
    nn.ConvTranspose1d: "conv1d transposed",
    nn.ConvTranspose2d: "conv2d transposed",
    nn.ConvTranspose3d: "conv3d transposed",
    nn.Linear: "linear",
    nn.Embedding: "embedding",
    nn.MultiheadAttention: "attention",
}


@dataclass(frozen=True)
class Layer:
    """One compressible layer.

    Attributes:
        name: The module's name in the model.
        kind: One of `KINDS`' values; a depthwise convolution says so.
        parameter: Name of its weight in the state dict.
        shape: Of the weight.
        params: Weight and bias.
        bytes: Of these, as they are in memory.
        macs: Multiply-accumulates for one sample, 0 where the layer was not reached.
        output: Shape of its output without the batch, () where it was not reached.
        ties: Names of other layers that share the weight.
        outputs: The dimension of the weight that counts output channels.
    """

    name: str
    kind: str
    parameter: str
    shape: tuple[int, ...]
    params: int
    bytes: int
    macs: int
    output: tuple[int, ...] = ()
    ties: tuple[str, ...] = ()
    outputs: int = 0


def first_names(model: nn.Module, found: Sequence[Layer]) -> dict[str, Layer]:
    """Return layers by the names of their weights; of tied layers, which share one, the first."""
    first: dict[int, tuple[str, Layer]] = {}
    for layer in found:
        first.setdefault(id(model.get_parameter(layer.parameter)), (layer.parameter, layer))
    return dict(first.values())


def layers(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[Layer, ...]:
    """Return the facts of every layer with a weight of two or more dimensions, in the model's order.

    The model runs once on `example` in evaluation mode and is left as it was.
    """
    chosen = {name: module for name, module in model.named_modules() if _kind(module)}
    reached = _shapes(twin(model), example, chosen)
    owners: dict[int, list[str]] = {}
    for name, module in chosen.items():
        owners.setdefault(id(_weight(module)[1]), []).append(name)
    return tuple(
        _layer(
            name,
            module,
            reached.get(name, []),
            [n for n in owners[id(_weight(module)[1])] if n != name],
            batch_size(example),
        )
        for name, module in chosen.items()
    )


def computed_weights(model: nn.Module) -> list[str]:
    """Return the names of layers' weights that are no parameters, because a parametrization or a hook makes them."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if _kind(module) and not isinstance(module, nn.MultiheadAttention)
        if "weight" not in module._parameters
    ]


def _kind(module: nn.Module) -> str:
    for base, kind in KINDS.items():
        if isinstance(module, base):
            if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is None:
                return ""
            groups = getattr(module, "groups", 1)
            return f"{kind} depthwise" if groups > 1 and groups == module.in_channels else kind
    return ""


def _weight(module: nn.Module) -> tuple[str, Tensor]:
    name = "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"
    weight = getattr(module, name)
    return name, weight


def _shapes(model: nn.Module, example: tuple[Tensor, ...], names: Iterable[str]) -> dict[str, list[tuple[int, ...]]]:
    reached: dict[str, list[tuple[int, ...]]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            value = output if isinstance(output, Tensor) else output[0]
            reached.setdefault(name, []).append(tuple(value.shape))

        return hook

    for name in names:
        model.get_submodule(name).register_forward_hook(note(name))
    with torch.no_grad():
        call(model, example)
    return reached


def _layer(name: str, module: nn.Module, outputs: list[tuple[int, ...]], ties: list[str], batch: int) -> Layer:
    attribute, weight = _weight(module)
    bias = getattr(module, "in_proj_bias" if attribute == "in_proj_weight" else "bias", None)
    own = [value for value in (weight, bias) if isinstance(value, Tensor)]
    transposed = "transposed" in _kind(module)
    return Layer(
        name=name,
        kind=_kind(module),
        parameter=f"{name}.{attribute}" if name else attribute,
        shape=tuple(weight.shape),
        params=sum(value.numel() for value in own),
        bytes=sum(value.numel() * value.element_size() for value in own),
        macs=sum(_macs(module, weight, shape, batch) for shape in outputs),
        output=outputs[0][1:] if outputs else (),
        ties=tuple(ties),
        outputs=1 if transposed else 0,
    )


def _macs(module: nn.Module, weight: Tensor, output: tuple[int, ...], batch: int) -> int:
    """Return the multiply-accumulates of one call for one of `batch` samples, wherever the batch stands in it."""
    if isinstance(module, nn.Embedding):
        return 0
    if isinstance(module, nn.Linear | nn.MultiheadAttention):
        return weight.numel() * math.prod(output[:-1]) // batch
    positions = output[0] * math.prod(output[2:])
    if getattr(module, "transposed", False):
        # Every input position meets the whole kernel; the output counts stride**dims more of them.
        positions //= math.prod(module.stride)  # type: ignore[arg-type]  # a transposed convolution has one
    return weight.numel() * positions // batch


def choose(
    found: Sequence[Layer], include: str | Iterable[str] = "*", exclude: str | Iterable[str] = ()
) -> tuple[Layer, ...]:
    """Return the layers whose name matches a glob of `include` and none of `exclude`, in the model's order.

    Several globs may also be given as one string with commas between them.

    Raises:
        WorkbenchError: A glob of `include` matches nothing; near names are listed.
    """
    wanted, unwanted = globs(include), globs(exclude)
    for glob in wanted:
        if not any(fnmatchcase(layer.name, glob) for layer in found):
            names = [layer.name for layer in found]
            near = difflib.get_close_matches(glob, names, n=5, cutoff=0.3) or names[:5]
            raise WorkbenchError(
                f"no layer matches {glob!r}; there are {', '.join(near)}{', …' if len(names) > 5 else ''}"
            )
    chosen = tuple(
        layer
        for layer in found
        if any(fnmatchcase(layer.name, glob) for glob in wanted)
        and not any(fnmatchcase(layer.name, glob) for glob in unwanted)
    )
    if not chosen:
        raise WorkbenchError(f"every layer that matches {', '.join(wanted)} is excluded by {', '.join(unwanted)}")
    return chosen


def globs(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return the globs of "a, b" or of several strings."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(part.strip() for part in parts if part.strip())
