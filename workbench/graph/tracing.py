"""The traced graph of a model, and the hash of its topology."""

from __future__ import annotations

import hashlib
import inspect
import warnings
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from workbench.errors import WorkbenchError, cause_line
from workbench.graph.silence import silence
from workbench.model.products import slow_attention
from workbench.model.twin import twin
from workbench.task.batch import Inputs, entering, how, is_flat, judged, leaves

# Tracing sets switches of the whole process, and torch cannot do it twice at a time.
TRACING = RLock()
VALUES_DECIDE = "its code decides by values of tensors, as `if x.sum() > 0` does, and a graph has one way for all"
# (start of the message, category): what torch itself says while it exports models that are all right.
KNOWN_WARNINGS = (
    (r".*isinstance\(treespec, LeafSpec\)", FutureWarning),
    (r"The tensor attributes? .* (was|were) assigned during export", UserWarning),
)


def trace(model: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    """Return the model's eval-mode graph of ATen operators, not decomposed.

    Dimension 0 of every input is dynamic where the model allows it, otherwise it has the example's size. The
    model is left as found: mode, gradients and hooks. The graph takes the example's tensors one by one and gives what
    is judged, however the model is called and whatever else it gives.

    Args:
        model: Any module that `torch.export` accepts.
        example: The inputs, batch first; the graph takes what the model gets for them.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    example = entering(model, example)
    free = how(example).free
    dynamic = tuple(
        {0: Dim.AUTO, **{dim: Dim.AUTO for tensor, dim in free if tensor == place}} if value.dim() else None
        for place, value in enumerate(example)
    )
    attempts: list[tuple[tuple[Tensor, ...], Any]] = [(_at_least_two(example), dynamic), (tuple(example), None)]
    failure = Exception()  # the last attempt's, below
    with TRACING, silence(), slow_attention(), warnings.catch_warnings():
        for message, category in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        for inputs, shapes in attempts:
            try:
                program = torch.export.export(
                    one_by_one(twin(model), example), inputs, dynamic_shapes=shapes, strict=False
                )
                return program if shapes is None or not _fixed(program) else _freed(model, example, dynamic) or program
            except Exception as error:
                failure = error
    raise WorkbenchError(
        f"the model cannot be traced ({reason(failure)}); steps that change weights alone still work, "
        "those that change the graph do not"
    ) from failure


def reason(error: BaseException) -> str:
    """Return in a line why a model has no graph; of decisions torch speaks in symbols that nobody wrote."""
    return VALUES_DECIDE if "data-dependent" in str(error) else cause_line(error)


def _fixed(program: ExportedProgram) -> bool:
    """Return whether an input has the example's number of samples for good."""
    inputs = set(program.graph_signature.user_inputs)
    values = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]
    sizes = [value.shape[0] for value in values if isinstance(value, Tensor) and value.dim()]
    # A size that tracing found out to be a number on the way stays a symbol, which stands for nothing else.
    return any(isinstance(size, int) or size.node.maybe_as_int() is not None for size in sizes)


def _freed(model: nn.Module, example: tuple[Tensor, ...], dynamic: Any) -> ExportedProgram | None:
    """Return the graph as read from the source, None where that cannot be done or does not free the batch either.

    `len(x)` is a plain number to whoever runs the model, as plain tracing does; only the source shows a size.
    """
    try:
        program = torch.export.export(
            one_by_one(twin(model), example), _at_least_two(example), dynamic_shapes=dynamic, strict=True
        )
    except Exception:  # it knows less of Python than Python; the graph with a fixed batch is as good as before
        return None
    return None if _fixed(program) else program


def one_by_one(model: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    """Return a model, changed in place, that takes tensors one by one and gives what is judged.

    Args:
        model: Nobody else may hold it. One that is called by place alone and gives one tensor stays as it is.
        example: Says how it is called.
    """
    call = how(example)
    if is_flat(model) or not isinstance(example, Inputs) or (
        call.structure is None and call.output is None and not call.changed
    ):  # fmt: skip
        return model
    forward = model.forward

    def flattened(*tensors: Tensor) -> Any:
        args, kwargs = Inputs((value.clone() for value in tensors) if call.changed else tensors, call).arguments()
        judged_leaves = leaves(judged(forward(*args, **kwargs), example))
        return judged_leaves[0] if len(judged_leaves) == 1 else tuple(judged_leaves)

    # Tracing names inputs by the signature, and counts them.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in example.names(model)]
    flattened.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as functools.wraps sets it
    model.forward = flattened
    return model


def topology(program: ExportedProgram) -> str:
    """Return a hash of operators, edges and constant arguments; two programs with it have the same graph.

    Values and sizes of parameters do not count, but a size that the model wrote into an operator (the target
    of a view, the groups of a depthwise convolution) does, because it is a part of the graph.
    """
    digest = hashlib.sha256()
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    order: dict[Node, int] = {}
    for node in program.graph.nodes:
        order[node] = len(order)
        digest.update(repr(_describe(node, order, stored)).encode())
    for name, constant in sorted(program.constants.items()):
        if isinstance(constant, Tensor):
            digest.update(f"{name} {constant.dtype} {constant.tolist()}".encode())
    return digest.hexdigest()


def _describe(node: Node, order: dict[Node, int], stored: dict[str, str]) -> tuple[Any, ...]:
    if node.op == "placeholder":
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return (node.op, repr(value))
        if node.name in stored:
            return (node.op, stored[node.name], str(value.dtype), value.dim())
        sizes = tuple(size if isinstance(size, int) else "dynamic" for size in value.shape)
        return (node.op, str(value.dtype), sizes)
    if node.op == "get_attr" and isinstance(inner := getattr(_owner(node), str(node.target), None), GraphModule):
        return (node.op, inner.code)
    edges = map_arg((node.args, node.kwargs), lambda other: f"%{order[other]}")
    return (node.op, str(node.target), repr(edges))


def _owner(node: Node) -> Any:
    return node.graph.owning_module


def _at_least_two(example: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A dimension of size one is always taken for a constant, so a batch of one is doubled."""
    return tuple(torch.cat([v, v]) if v.dim() and v.shape[0] == 1 else v for v in example)
