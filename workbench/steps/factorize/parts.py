"""Layers that can be written as factors: which, what that would cost, and the modules that take their place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.jobs.turn import TURN
from workbench.model.layers import Layer, is_turned_linear
from workbench.model.twin import twin
from workbench.steps.calibration import CONVOLUTIONS
from workbench.steps.factorize.forms import DENSE, SPLITS
from workbench.steps.factorize.splits import ChannelSplit, Shape, Split
from workbench.task.batch import batch_size, call

Places = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """A layer that can be written as factors.

    Attributes:
        layer: Its facts.
        module: It.
        calls: For each time that it is called the sizes of what enters and of what leaves, without batch and channels;
            of an embedding the number of rows.
        splits: The forms that fit it.
    """

    layer: Layer
    module: nn.Module
    calls: tuple[tuple[Places, Places], ...]
    splits: tuple[type[Split], ...]

    @property
    def groups(self) -> int:
        """Groups of channels that do not see each other."""
        return int(getattr(self.module, "groups", 1))

    @property
    def weight(self) -> Tensor:
        """The weight, [out, in / groups, *kernel]."""
        weight = self.module.get_parameter("weight").detach()
        return weight.T if is_turned(self.module) else weight

    @property
    def shape(self) -> Shape:
        """The shape of `weight`."""
        return tuple(self.weight.shape)

    def params(self, split: type[Split], rank: int) -> int:
        """Return the numbers in the factors."""
        return sum(math.prod(shape) for shape in split.shapes(self.shape, self.groups, rank))

    def macs(self, split: type[Split], rank: int) -> float:
        """Return the multiply-accumulates of the factors for one sample."""
        shapes = split.shapes(self.shape, self.groups, rank)
        if isinstance(self.module, nn.Embedding):  # rows are looked up, and only then multiplied
            return float(math.prod(shapes[1]) * sum(math.prod(outside) for _, outside in self.calls))
        whole = sum(math.prod(self.shape) * math.prod(outside) for _, outside in self.calls)
        counted = sum(
            math.prod(shape) * math.prod(_size(split, number, inside, outside))
            for inside, outside in self.calls
            for number, shape in enumerate(shapes)
        )
        return self.layer.macs * counted / whole

    def ranks(self, split: type[Split], round_to: int) -> range:
        """Return the ranks that are multiples of `round_to` and at which the factors are exact at most."""
        round_to = round_to if split.rounds else 1
        return range(round_to, split.most(self.shape, self.groups) + 1, round_to)


def _size(split: type[Split], number: int, inside: Places, outside: Places) -> Places:
    """Return the size of what a factor gives: in a direction whose carrier has passed it is the layer's own."""
    return tuple(
        after if split.carrier(dim) <= number else before
        for dim, (before, after) in enumerate(zip(inside, outside, strict=True))
    )


def is_turned(module: nn.Module) -> bool:
    """Return whether a module holds its weight as [in, out]: a table, which gives rows of it, or GPT-2's layer."""
    return isinstance(module, nn.Embedding) or is_turned_linear(module)


def fitting(layer: Layer, module: nn.Module, called: int, shared: bool, form: str) -> tuple[list[type[Split]], str]:
    """Return the forms in which a layer can be written, and why there are none.

    Args:
        layer: Its facts.
        module: It.
        called: How often a forward pass calls it.
        shared: Whether its weight is also another's.
        form: The one that is wanted where it fits, "best" for all that do; else channels are split.
    """
    plain = (nn.Linear, nn.Embedding, *CONVOLUTIONS)
    if not layer.is_whole or not (isinstance(module, plain) or is_turned_linear(module)):
        return [], f"layers of the kind {layer.kind} are not written as factors"
    if shared:
        return [], "its weight is shared"
    if not called:
        return [], "it is not called as a layer"
    if not _computes_plainly(module) or module._forward_hooks or module._forward_pre_hooks:
        return [], "it computes in a way of its own"
    weight = module.get_parameter("weight")
    shape = tuple(weight.T.shape if is_turned(module) else weight.shape)
    groups = int(getattr(module, "groups", 1))
    able = [split for split in SPLITS.values() if split.fits(shape, groups)]
    wanted = [split for split in able if split.kind == form or (form == "best" and split.kind in DENSE)]
    return wanted or [split for split in able if split is ChannelSplit], "its rank is 1 already"


def _computes_plainly(module: nn.Module) -> bool:
    if isinstance(module, nn.Embedding):
        return type(module).forward is nn.Embedding.forward and module.max_norm is None
    if isinstance(module, CONVOLUTIONS):
        ways = ("forward", "_conv_forward")
        return all(getattr(type(module), way) is getattr(base_of(module), way) for way in ways)
    return is_turned_linear(module) or type(module).forward is nn.Linear.forward


def sizes_in(
    model: nn.Module, names: Sequence[str], example: tuple[Tensor, ...]
) -> dict[str, list[tuple[Places, Places]]]:
    """Return for each named module the sizes of what enters and leaves it in a forward pass, call by call."""
    watched, places, samples = twin(model), dict[str, list[tuple[Places, Places]]](), batch_size(example)
    for name in names:

        def note(module: nn.Module, args: Any, kwargs: Any, output: Tensor, name: str = name) -> None:
            entering = (args or tuple(kwargs.values()))[0]
            if isinstance(module, CONVOLUTIONS):
                dims = len(module.kernel_size)
                places.setdefault(name, []).append((tuple(entering.shape[-dims:]), tuple(output.shape[-dims:])))
            else:
                rows = (entering.numel() // samples,) if isinstance(module, nn.Embedding) else ()
                places.setdefault(name, []).append((rows, rows))

        watched.get_submodule(name).register_forward_hook(note, with_kwargs=True)
    with TURN, torch.no_grad():
        call(watched, example)
    return places


def in_factors(module: nn.Module, split: type[Split], factors: Sequence[Tensor]) -> nn.Sequential:
    """Return modules that compute a layer by its factors, in the layer's type and mode; its bias is shared.

    Args:
        module: A convolution, a linear layer or an embedding.
        split: The form.
        factors: Of it, each [out, in / groups, *kernel].
    """
    last, layers = len(factors) - 1, list[nn.Module]()
    groups, shape = getattr(module, "groups", 1), tuple(module.get_parameter("weight").shape)
    for number, factor in enumerate(factors):
        if isinstance(module, nn.Embedding) and not number:
            layers.append(_table(module, factor.T))
            continue
        geometry = {}
        if isinstance(module, CONVOLUTIONS):
            geometry = {**_geometry(module, split, number), "groups": split.groups_of(shape, groups, number)}
        layers.append(layer_of(module, factor, module._parameters.get("bias") if number == last else None, **geometry))
    return nn.Sequential(*layers).train(module.training)


def _table(module: nn.Embedding, rows: Tensor) -> nn.Embedding:
    """Return an embedding with other rows."""
    table = nn.Embedding(rows.shape[0], rows.shape[1], device="meta")
    table._parameters["weight"] = nn.Parameter(rows.to(module.weight.dtype).contiguous(), module.weight.requires_grad)
    for name in ("padding_idx", "scale_grad_by_freq", "sparse"):
        setattr(table, name, getattr(module, name))
    return table


def layer_of(module: nn.Module, weight: Tensor, bias: Tensor | None, **geometry: Any) -> nn.Module:
    """Return a layer of a module's type, mode and need of gradients with other tensors.

    Args:
        module: A convolution or linear layer.
        weight: [out, in / groups, *kernel].
        bias: [out].
        geometry: Of a convolution: stride, padding, dilation, padding_mode; groups, where they are others.
    """
    layer: nn.Module
    if isinstance(module, CONVOLUTIONS):
        kind: Any = base_of(module)
        groups = geometry.pop("groups", module.groups)
        layer = kind(
            weight.shape[1] * groups, len(weight), tuple(weight.shape[2:]), groups=groups,
            bias=bias is not None, device="meta", **geometry,
        )  # fmt: skip
    else:
        layer = nn.Linear(weight.shape[1], len(weight), bias=bias is not None, device="meta")
    before = module.get_parameter("weight")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            value = value.detach().to(before.dtype).contiguous()
            layer._parameters[name] = nn.Parameter(value, requires_grad=before.requires_grad)
    return layer.train(module.training)


def base_of(module: nn.Module) -> type[nn.Module]:
    """Return which of torch's convolutions a module is."""
    return next(base for base in CONVOLUTIONS if isinstance(module, base))


def _geometry(module: Any, split: type[Split], number: int) -> dict[str, Any]:
    """Return stride, padding and dilation of a factor: the layer's in the directions that it carries, else none."""
    dims = range(len(module.kernel_size))
    own = [split.carrier(dim) == number for dim in dims]
    padding = module.padding
    if not isinstance(padding, str):
        padding = tuple(module.padding[dim] if own[dim] else 0 for dim in dims)
    return {
        "stride": tuple(module.stride[dim] if own[dim] else 1 for dim in dims),
        "dilation": tuple(module.dilation[dim] if own[dim] else 1 for dim in dims),
        "padding": padding if any(own) else 0,
        "padding_mode": module.padding_mode if any(own) else "zeros",
    }
