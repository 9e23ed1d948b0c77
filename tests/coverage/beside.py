"""torch-pruning on the same net, at the same ratio."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import workbench as wb
from workbench.graph.costs import macs_of_parameters
from workbench.graph.tracing import one_by_one
from workbench.model.twin import twin
from workbench.steps import Context
from workbench.task.batch import leaves, outputs_of

SECONDS = 15
# Of channels that a user has to keep: answers, and the rows of a table that is also the last layer.
OUTPUTS = ("reaches the model's output", "rows chosen by an index")


def reach(model: nn.Module, smaller: nn.Module, example: tuple[Tensor, ...]) -> float:
    """Return the share of the multiply-accumulates whose parameter is smaller, or gone, in the other model."""
    macs, _ = macs_of_parameters(model, example)
    after = {name: value.numel() for name, value in smaller.named_parameters(remove_duplicate=False)}
    total = sum(macs.values())
    less = sum(count for name, count in macs.items() if after.get(name, 0) < model.get_parameter(name).numel())
    return less / max(total, 1)


def torch_pruning(model: nn.Module, subject: wb.Subject, ratio: float) -> dict[str, Any]:
    """Return what is left of the multiply-accumulates after torch-pruning, and how far it reached.

    Layers whose channels reach the output are left alone, which torch-pruning wants to be told; so are numbers of
    heads, where modules say theirs.
    """
    import torch_pruning as tp

    context = Context(subject)
    example = context.example()
    last = {
        layer
        for group in context.groups(subject.model)
        if group.protected and any(word in group.protected for word in OUTPUTS)
        for layer in group.layers
    }
    ignored = [module for name, module in model.named_modules() if name in last]
    flat = one_by_one(model, example)
    with at_most(SECONDS):
        pruner = tp.pruner.BasePruner(
            flat,
            tuple(value.clone() for value in example),
            importance=tp.importance.MagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=ignored,
            num_heads=_heads(model),
        )
        pruner.step()
        _rewrite(model)
    with torch.no_grad():
        wanted = leaves(outputs_of(twin(subject.model), example))
        found = leaves(flat(*example))
    if [value.shape for value in wanted] != [value.shape for value in found]:
        raise RuntimeError("outputs have other shapes")
    if not all(bool(value.isfinite().all()) for value in found):
        raise RuntimeError("outputs are not finite")
    (before, rest), (after, still) = (
        macs_of_parameters(subject.model, example), macs_of_parameters(flat, tuple(example)),
    )  # fmt: skip
    return {
        "left": (sum(after.values()) + still) / max(sum(before.values()) + rest, 1),
        "reach": reach(subject.model, flat, example),
    }


def _rewrite(model: nn.Module) -> None:
    """Set the widths that modules remember, as the examples of torch-pruning do by hand for each model."""
    for module in model.modules():
        if hasattr(module, "conv_proj") and hasattr(module, "hidden_dim"):
            module.hidden_dim = module.conv_proj.out_channels
        layers = dict(module.named_children())
        asking = next((name for name in ("qkv", "q", "query", "q_proj", "q_lin", "c_attn") if name in layers), None)
        number = _number(module)
        if asking is None or not number or not hasattr(layers[asking], "weight"):
            continue
        turned = type(layers[asking]).__name__ == "Conv1D"
        width = layers[asking].weight.shape[1 if turned else 0] // (3 if asking in ("qkv", "c_attn") else 1)
        for name in ("head_dim", "attention_head_size", "key_value_proj_dim"):
            if isinstance(getattr(module, name, None), int):
                setattr(module, name, width // number)
        for name in ("all_head_size", "inner_dim", "split_size", "embed_dim", "dim"):
            if isinstance(getattr(module, name, None), int):
                setattr(module, name, width)


def _number(module: nn.Module) -> int:
    names = ("num_heads", "num_attention_heads", "n_heads", "n_head")
    return next((value for name in names if isinstance(value := getattr(module, name, None), int)), 0)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Break off what takes longer, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _heads(model: nn.Module) -> dict[nn.Module, int]:
    found: dict[nn.Module, int] = {}
    for module in model.modules():
        number = _number(module)
        if number:
            for name, layer in module.named_children():
                if isinstance(layer, nn.Linear) and name.lower().strip("_").split("_")[0] in (
                    "q", "k", "v", "qkv", "query", "key", "value", "in",
                ):  # fmt: skip
                    found[layer] = number
    return found
