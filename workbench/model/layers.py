"""Facts about every compressible layer, and choosing layers by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from workbench.errors import WorkbenchError
from workbench.model.products import Products, slow_attention, told_apart
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
    nn.EmbeddingBag: "embedding",
    nn.MultiheadAttention: "attention",
    nn.Bilinear: "bilinear",
    nn.LSTM: "lstm",
    nn.GRU: "gru",
    nn.RNNBase: "rnn",
    nn.LSTMCell: "lstm cell",
    nn.GRUCell: "gru cell",
    nn.RNNCellBase: "rnn cell",
}
# A weight of two or more dimensions that belongs to no such layer: experts in one tensor, a learnt table of places.
LOOSE = "parameter"


@dataclass(frozen=True)
class Layer:
    """One weight with what belongs to it: a layer, one of the weights of a layer that has several, or a lone parameter.

    Attributes:
        name: The module's name in the model; where a module has several weights, or the weight is no known layer's, the
            parameter's name.
        kind: One of `KINDS`' values, or `LOOSE`; a depthwise convolution says so.
        parameter: Name of its weight in the state dict.
        shape: Of the weight.
        params: Weight and bias.
        bytes: Of these, as they are in memory.
        macs: Multiply-accumulates for one sample, 0 where the weight is multiplied with nothing.
        module: Name of the module that holds the weight.
        output: Shape of the module's output without the batch, () where it was not reached or is no known layer.
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
    module: str = ""
    output: tuple[int, ...] = ()
    ties: tuple[str, ...] = ()
    outputs: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it is a module with one weight, so that what enters the module is multiplied with that weight."""
        return self.name == self.module


def first_names(model: nn.Module, rows: Sequence[Layer]) -> dict[str, Layer]:
    """Return layers by the names of their weights; of tied layers, which share one, the first."""
    first: dict[int, tuple[str, Layer]] = {}
    for layer in rows:
        first.setdefault(id(model.get_parameter(layer.parameter)), (layer.parameter, layer))
    return dict(first.values())


def layers(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[Layer, ...]:
    """Return the facts of every weight of two or more dimensions, in the model's order.

    The model runs once on `example` in evaluation mode and is left as it was.
    """
    weights = [
        (module_name, module, attribute)
        for module_name, module in model.named_modules()
        for attribute in _weights(module)
    ]
    names = [_name(*weight) for weight in weights]
    owners: dict[int, list[int]] = {}
    for number, (_, module, attribute) in enumerate(weights):
        owners.setdefault(id(getattr(module, attribute)), []).append(number)
    tied = {weights[number][0] for numbers in owners.values() if len(numbers) > 1 for number in numbers}
    macs, reached = _run(model, example, {module: None for module, _, _ in weights}, tied)
    first = {id(value): name for name, value in model.named_parameters()}
    rows = []
    for number, (module_name, module, attribute) in enumerate(weights):
        weight = getattr(module, attribute)
        others = [other for other in owners[id(weight)] if other != number]
        counted = macs.get((first.get(id(weight), ""), module_name if module_name in tied else ""), 0)
        if others and number < min(others):  # what is multiplied with it by hand, outside of all that share it
            counted += macs.get((first.get(id(weight), ""), ""), 0)
        rows.append(
            _layer(
                names[number],
                module_name,
                module,
                attribute,
                counted // batch_size(example),
                reached.get(module_name, ()),
                tuple(names[other] for other in others),
            )
        )
    return tuple(rows)


def own_parameters(model: nn.Module, layer: Layer) -> list[str]:
    """Return the names of a layer's weight and of what belongs to it: all that its module holds, or a weight's bias."""
    prefix = f"{layer.module}." if layer.module else ""
    held = model.get_submodule(layer.module)._parameters
    if layer.is_whole:
        return [f"{prefix}{name}" for name, value in held.items() if value is not None]
    bias = f"{prefix}{_bias(layer.parameter.removeprefix(prefix))}"
    return [layer.parameter, *([bias] if held.get(bias.removeprefix(prefix)) is not None else [])]


def computed_weights(model: nn.Module) -> list[str]:
    """Return the names of layers' weights that are no parameters, because a parametrization or a hook makes them."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if _main(module) == "weight" and "weight" not in module._parameters
    ]


def is_turned_linear(module: nn.Module) -> bool:
    """Return whether a module is the linear layer of GPT-2, which holds its weight as [inputs, outputs].

    It is told by its class's name and its shapes, since the library that it comes from need not be there.
    """
    weight, bias = module._parameters.get("weight"), module._parameters.get("bias")
    return (
        type(module).__name__ == "Conv1D"
        and weight is not None
        and weight.dim() == 2
        and (bias is None or bias.shape == weight.shape[1:])
        and getattr(module, "nf", weight.shape[1]) == weight.shape[1]
    )


def _kind(module: nn.Module) -> str:
    for base, kind in KINDS.items():
        if isinstance(module, base):
            groups = getattr(module, "groups", 1)
            return f"{kind} depthwise" if groups > 1 and groups == module.in_channels else kind
    return "linear transposed" if is_turned_linear(module) else ""


def _weights(module: nn.Module) -> list[str]:
    """Return the names under which a module itself holds weights of two or more dimensions, its own kind's first."""
    held = [
        name
        for name, value in module._parameters.items()
        if value is not None and not is_lazy(value) and value.dim() > 1 and value.numel() and value.is_floating_point()
    ]
    return sorted(held, key=lambda name: name != _main(module))


def _main(module: nn.Module) -> str:
    """Return the name of a layer's one weight, "" where it has several or is of no known kind."""
    if isinstance(module, nn.RNNBase | nn.RNNCellBase) or not _kind(module):
        return ""
    return "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"


def _name(module_name: str, module: nn.Module, attribute: str) -> str:
    if attribute == _main(module):
        return module_name
    return f"{module_name}.{attribute}" if module_name else attribute


def _bias(weight: str) -> str:
    return weight.replace("weight", "bias")


def _weight_kind(module: nn.Module, attribute: str) -> str:
    """Return the kind of a layer for its own weights, `LOOSE` for another that its module holds besides."""
    kind = _kind(module)
    known = attribute == _main(module) or isinstance(module, nn.RNNBase | nn.RNNCellBase)
    apart = isinstance(module, nn.MultiheadAttention) and attribute.endswith("proj_weight")
    return kind if kind and (known or apart) else LOOSE


def _outputs(kind: str, shape: tuple[int, ...]) -> int:
    if "transposed" in kind:
        return 1
    # A table of places often has a dimension of one in front, for the batch.
    return 1 if kind == LOOSE and shape[0] == 1 < shape[1] else 0


def _run(
    model: nn.Module, example: tuple[Tensor, ...], modules: Iterable[str], tied: Iterable[str]
) -> tuple[dict[tuple[str, str], int], dict[str, tuple[int, ...]]]:
    """Return the products by parameter, and the shapes of what modules of known kinds give first."""
    watched, reached = twin(model), dict[str, tuple[int, ...]]()

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            shape = next((value.shape for value in tree_leaves(output) if isinstance(value, Tensor)), None)
            if shape is not None:
                reached.setdefault(name, tuple(shape[1:]))

        return hook

    for name in modules:
        if _kind(module := watched.get_submodule(name)):
            module.register_forward_hook(note(name))
    counter = Products(dict(model.named_parameters()))
    told_apart(counter, [(name, watched.get_submodule(name)) for name in tied])
    with torch.no_grad(), slow_attention(), counter:
        call(watched, example)
    return counter.macs, reached


def _layer(
    name: str,
    module_name: str,
    module: nn.Module,
    attribute: str,
    macs: int,
    output: tuple[int, ...],
    ties: tuple[str, ...],
) -> Layer:
    weight, kind = module.get_parameter(attribute), _weight_kind(module, attribute)
    bias = "in_proj_bias" if attribute == "in_proj_weight" else _bias(attribute)
    own = [weight]
    if kind != LOOSE and bias != attribute and (value := module._parameters.get(bias)) is not None:
        own.append(value)
    return Layer(
        name=name,
        kind=kind,
        parameter=f"{module_name}.{attribute}" if module_name else attribute,
        shape=tuple(weight.shape),
        params=sum(value.numel() for value in own),
        bytes=sum(value.numel() * value.element_size() for value in own),
        macs=macs,
        module=module_name,
        output=output,
        ties=ties,
        outputs=_outputs(kind, tuple(weight.shape)),
    )


def choose(
    rows: Sequence[Layer], include: str | Iterable[str] = "*", exclude: str | Iterable[str] = ()
) -> tuple[Layer, ...]:
    """Return the layers whose name matches a glob of `include` and none of `exclude`, in the model's order.

    The weights of a layer that has several also go by the name of their module.

    Several globs may also be given as one string with commas between them.

    Raises:
        WorkbenchError: A glob of `include` matches nothing; near names are listed.
    """
    wanted, unwanted = globs(include), globs(exclude)
    for glob in wanted:
        if not any(goes_by(layer, glob) for layer in rows):
            names = [layer.name for layer in rows]
            near = difflib.get_close_matches(glob, names, n=5, cutoff=0.3) or names[:5]
            raise WorkbenchError(
                f"no layer matches {glob!r}; there are {', '.join(near)}{', …' if len(names) > 5 else ''}"
            )
    chosen = tuple(
        layer
        for layer in rows
        if any(goes_by(layer, glob) for glob in wanted) and not any(goes_by(layer, glob) for glob in unwanted)
    )
    if not chosen:
        raise WorkbenchError(f"every layer that matches {', '.join(wanted)} is excluded by {', '.join(unwanted)}")
    return chosen


def goes_by(layer: Layer, glob: str) -> bool:
    """Return whether a glob matches a layer's name, or its module's."""
    return fnmatchcase(layer.name, glob) or bool(layer.module and fnmatchcase(layer.module, glob))


def globs(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return the globs of "a, b" or of several strings."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(part.strip() for part in parts if part.strip())
