"""A model as an ONNX graph: the exporter of torch, and what has to be mended in what it gives."""

from __future__ import annotations

import ast
import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph.silence import silence
from workbench.graph.tracing import TRACING, one_by_one, reason
from workbench.measure.runtimes.integers import MODULE
from workbench.model.quantizer import simulate
from workbench.model.twin import sharing_copy, twin
from workbench.task.batch import Inputs, batch_size, how, like

if TYPE_CHECKING:
    import onnx


def unrounded(model: nn.Module) -> nn.Module:
    """Return the model without its activation quantizers' rounding, which is put into the graph afterwards."""
    plain = twin(model)
    simulate(plain, on=False)
    return plain


def exported(model: nn.Module, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """Return the floating-point ONNX model, in which each node says which module it is a part of.

    Raises:
        WorkbenchError: The model cannot be converted.
    """
    # In tensors of its own: the exporter takes another way through what needs gradients, and fails on it.
    plain = sharing_copy(unrounded(model))
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    free, any_size = how(example).free, torch.export.Dim.DYNAMIC
    dynamic: Any = tuple(
        {0: any_size, **{dim: any_size for tensor, dim in free if tensor == place}} if value.dim() else {}
        for place, value in enumerate(example)
    )
    names = Inputs(example, how(example)).names(plain)
    whole, several = _Whole(one_by_one(plain, example)), _several(example)
    options: dict[str, Any] = {"dynamo": True, "optimize": False, "verbose": False, "input_names": names}
    try:
        with _quiet():
            try:
                program = torch.onnx.export(whole, tuple(several), dynamic_shapes=(dynamic,), **options)
            except Exception:  # a model that fixes its batch size is still worth a graph of that size
                program = torch.onnx.export(whole, tuple(example), **options)
    except Exception as error:
        raise WorkbenchError(f"the model cannot be converted to ONNX: {reason(error)}") from error
    if program is None:
        raise WorkbenchError("the model cannot be converted to ONNX: the exporter gave nothing")
    proto: onnx.ModelProto = program.model_proto
    if has_branches(proto):
        # A choice between two graphs is settled here where it can be: ONNX Runtime, which would settle it as it opens
        # the file, takes the process with it at some, such as that in a bag of embeddings.
        with _quiet():
            program.optimize()
        proto = program.model_proto
    _own_names(proto)
    _drop_zero_biases(proto)
    _forget_source(proto)
    return proto


def has_branches(proto: onnx.ModelProto) -> bool:
    """Return whether graphs lie in the graph: choices and loops."""
    return any(attribute.HasField("g") for node in proto.graph.node for attribute in node.attribute)


def _several(example: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the example as a batch of two where it is one of one, which tracing takes for a size that fits all."""
    if batch_size(example) > 1:
        return example
    return like(example, [torch.cat([value, value]) if value.dim() else value for value in example])


class _Whole(nn.Module):
    """A model as part of another, so that each of its tensors has a name that no operator gives to what it computes.

    The exporter calls what `torch.mean` gives "mean", and so a tensor of the model of that name.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> Any:
        return self.model(*tensors)


PREFIX = "model."
SCOPES = "pkg.torch.onnx.name_scopes"  # the exporter's own: names of modules from the outermost on, and the operator's


def _own_names(proto: onnx.ModelProto) -> None:
    """Give tensors the names that they have in the model, and move what is computed out of their way."""
    graph = proto.graph
    tensors = {one.name: one.name.removeprefix(PREFIX) for one in graph.initializer}
    computed = {name for node in graph.node for name in node.output}
    taken = {*tensors.values(), *(one.name for one in graph.input)}
    renamed = {name: f"{name}_computed" for name in computed & taken} | tensors
    for one in (*graph.initializer, *graph.output, *graph.value_info):
        one.name = renamed.get(one.name, one.name)
    _rename(graph, renamed)


def _rename(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    """Give what nodes take and make other names, in the graphs within the graph too: they read tensors from outside."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in renamed:
                    names[place] = renamed[name]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, renamed)
                for one in attribute.g.output:
                    one.name = renamed.get(one.name, one.name)


def _drop_zero_biases(proto: onnx.ModelProto) -> None:
    """Drop the biases of zeros that the exporter computes for convolutions without one, from the type of their input.

    A runtime cannot know that they are constant, and so would not fold the batch norm behind, for which it takes half
    as long again.
    """
    from onnx import numpy_helper

    graph = proto.graph
    makers = {name: node for node in graph.node for name in node.output}

    def source(name: str, operator: str) -> str:
        node = makers.get(name)
        return node.input[0] if node is not None and node.op_type == operator else ""

    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and len(node.input) > 2:
            constant = makers.get(source(source(node.input[2], "Expand"), "CastLike"))
            if constant is not None and constant.op_type == "Constant":
                value = next((attribute.t for attribute in constant.attribute if attribute.name == "value"), None)
                if value is not None and not numpy_helper.to_array(value).any():
                    del node.input[2]
    # What nobody reads any more goes too; where graphs lie in graphs, names are read from further in.
    if not has_branches(proto):
        readers = Counter([*(name for node in graph.node for name in node.input), *(out.name for out in graph.output)])
        for node in reversed(list(graph.node)):
            if not any(readers[name] for name in node.output):
                readers.subtract(node.input)
                graph.node.remove(node)


def _forget_source(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes on where in the source a node came from: paths of this machine, and half the file.

    The module that a node is a part of stays, until the graph is finished.
    """
    del proto.metadata_props[:]
    for node in proto.graph.node:
        scopes = [one.value for one in node.metadata_props if one.key == SCOPES]
        del node.metadata_props[:]
        node.doc_string = ""
        for *modules, _operator in (ast.literal_eval(scope) for scope in scopes):
            if modules:
                node.metadata_props.add(key=MODULE, value=modules[-1].removeprefix(PREFIX[:-1]).removeprefix("."))
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    for function in proto.functions:
        del function.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about itself (absent torchvision, its own deprecations) off the screen."""
    with TRACING, silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
