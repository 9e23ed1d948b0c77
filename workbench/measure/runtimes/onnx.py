"""ONNX graphs of a state, and ONNX Runtime to run them.

Converting a model takes seconds; putting other weights into a graph takes milliseconds. So the converted graph
is kept for as long as the model's structure stands, and reused with new initializers after its outputs were
compared with the model's own.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, cause_line, first_line
from workbench.graph.tracing import TRACING, one_by_one
from workbench.jobs.turn import TURN
from workbench.measure.runtimes.qdq import MODULE, with_integers
from workbench.measure.runtimes.runtime import Forward, Runtime
from workbench.model.agreement import agree
from workbench.model.quantizer import simulate
from workbench.model.structure import structure
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps import State
from workbench.task.batch import Inputs, Tree, batch_size, how, judged, leaves, like, outputs_of

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-4
KEPT_GRAPHS = 8
_OPEN = np.array([-1], dtype=np.int64)
_graphs: OrderedDict[object, onnx.ModelProto] = OrderedDict()
_lock = Lock()


@register
class OnnxRuntime(Runtime):
    """ONNX Runtime on this machine's CPU."""

    kind = "onnxruntime"
    title = "ONNX Runtime"
    position = 2

    def prepare(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        return prepare(state, example)


def prepare(state: State, example: tuple[Tensor, ...]) -> Forward:
    """Return a function from inputs to logits that runs the state in ONNX Runtime on this machine's CPU.

    Raises:
        WorkbenchError: The model cannot be converted.
    """
    floating, opened = _skeleton(state.model, example)
    graph = with_integers(floating, state.model, state.codings)
    # Opening a graph takes most of the time here, and the one that was compared is open already.
    return opened if opened is not None and graph is floating else open_graph(graph.SerializeToString())


def open_graph(serialized: bytes) -> Forward:
    """Return a function from inputs to the outputs of a serialized ONNX model.

    Raises:
        WorkbenchError: ONNX Runtime has no kernel for one of its operators.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # The threads of one session, waiting busily, would eat the time of the other that it is compared with.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what fails is raised as well
    try:
        session = ort.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # an operator without a kernel for its type, such as a float64 convolution
        raise WorkbenchError(f"ONNX Runtime cannot run this model: {first_line(error)}") from error
    names = [given.name for given in session.get_inputs()]

    def forward(inputs: tuple[Tensor, ...]) -> Tree:
        feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        with TURN:
            outputs = tuple(torch.from_numpy(output) for output in session.run(None, feeds))
        if len(outputs) == 1:
            return outputs[0]
        return judged(outputs, inputs) if isinstance(inputs, Inputs) else outputs

    return forward


def convert(state: State, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """Return the ONNX model of a state, with integer weights and QDQ nodes where it is quantized.

    Raises:
        WorkbenchError: The model cannot be converted.
    """
    graph = with_integers(_skeleton(state.model, example)[0], state.model, state.codings)
    bare = type(graph)()
    bare.CopyFrom(graph)
    for node in bare.graph.node:
        del node.metadata_props[:]
    return bare


def _skeleton(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[onnx.ModelProto, Forward | None]:
    """Return the floating-point ONNX model, and how to run it if that is known already.

    The graph of an equal structure is used again where its outputs agree with the model's.
    """
    if any(value.dtype == torch.bfloat16 for value in (*model.parameters(), *example)):
        raise WorkbenchError("ONNX Runtime has no bfloat16 kernels on a CPU; convert a model.float()")
    key = structure(model)
    with _lock:
        kept = _graphs.get(key)
    if kept is not None:
        for place in (None, -1, 0):
            renewed = _renew(kept if place is None else _opened(kept, place), model)
            opened = _agreeing(renewed, model, example)
            if opened is not None:
                _keep(key, renewed)
                return renewed, opened
    made = _export(model, example)
    _keep(key, made)
    return made, None


def _keep(key: object, graph: onnx.ModelProto) -> None:
    with _lock:
        _graphs[key] = graph
        _graphs.move_to_end(key)
        while len(_graphs) > KEPT_GRAPHS:
            _graphs.popitem(last=False)


def _opened(kept: onnx.ModelProto, place: int) -> onnx.ModelProto:
    """Return a graph in which reshapes leave one size, the first or last beside the batch's, to follow from the others.

    The exporter writes the number of channels into them, and another number of channels would need another graph.
    """
    from onnx import helper, numpy_helper

    fresh = type(kept)()
    fresh.CopyFrom(kept)
    made_by = {output: node for node in fresh.graph.node for output in node.output}
    for node in fresh.graph.node:
        sizes = made_by.get(node.input[1]) if node.op_type == "Reshape" else None
        if sizes is None or sizes.op_type != "Concat":
            continue
        fixed = [part for part in sizes.input if getattr(made_by.get(part), "op_type", "") == "Constant"]
        if not fixed or len(fixed) != len(sizes.input) - 1:
            continue
        chosen = helper.make_node("Constant", [], [f"{node.name}_{place}_size"], value=numpy_helper.from_array(_OPEN))
        sizes.input[list(sizes.input).index(fixed[place])] = chosen.output[0]
        fresh.graph.node.insert(0, chosen)
    return fresh


def _renew(kept: onnx.ModelProto, model: nn.Module) -> onnx.ModelProto:
    from onnx import numpy_helper

    fresh = type(kept)()
    fresh.CopyFrom(kept)
    values = model.state_dict()
    for initializer in fresh.graph.initializer:
        if initializer.name in values:
            array = np.ascontiguousarray(values[initializer.name].detach().numpy())
            initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    del fresh.graph.value_info[:]  # its shapes are those of the old channels
    return fresh


def _plain(model: nn.Module) -> nn.Module:
    """Return the model without its activation quantizers' rounding, which is put into the graph afterwards."""
    made = twin(model)
    simulate(made, on=False)
    return made


def _agreeing(graph: onnx.ModelProto, model: nn.Module, example: tuple[Tensor, ...]) -> Forward | None:
    """Return how to run a graph if it gives the model's outputs, else None."""
    try:
        with torch.no_grad():
            wanted = outputs_of(_plain(model), example)
        opened = open_graph(graph.SerializeToString())
        got = opened(example)
    except Exception:  # a graph that does not fit fails in ONNX Runtime in many ways; a new export settles it
        return None
    pairs = zip(leaves(got), leaves(wanted), strict=True)
    return opened if all(agree(one, other, TOLERANCE) for one, other in pairs) else None


def _export(model: nn.Module, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    # In tensors of its own: the exporter takes another way through what needs gradients, and fails on it.
    plain = sharing_copy(_plain(model))
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
        raise WorkbenchError(f"the model cannot be converted to ONNX: {cause_line(error)}") from error
    if program is None:
        raise WorkbenchError("the model cannot be converted to ONNX: the exporter gave nothing")
    proto: onnx.ModelProto = program.model_proto
    _own_names(proto)
    _drop_zero_biases(proto)
    _forget_source(proto)
    return proto


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
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in renamed:
                    names[place] = renamed[name]


def _drop_zero_biases(proto: onnx.ModelProto) -> None:
    """Drop the biases of zeros that the exporter computes for convolutions without one, from the type of their input.

    A runtime cannot know that they are constant, and so would not fold the batch norm behind, for which it takes half
    as long again.
    """
    from onnx import numpy_helper

    graph = proto.graph
    made = {name: node for node in graph.node for name in node.output}

    def source(name: str, operator: str) -> str:
        node = made.get(name)
        return node.input[0] if node is not None and node.op_type == operator else ""

    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and len(node.input) > 2:
            constant = made.get(source(source(node.input[2], "Expand"), "CastLike"))
            if constant is not None and constant.op_type == "Constant":
                value = next((given.t for given in constant.attribute if given.name == "value"), None)
                if value is not None and not numpy_helper.to_array(value).any():
                    del node.input[2]
    # What nobody reads any more goes too; where graphs lie in graphs, names are read from further in.
    if not any(given.HasField("g") for node in graph.node for given in node.attribute):
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
    logger = logging.getLogger("torch.onnx")
    with TRACING, warnings.catch_warnings():
        level = logger.level
        logger.setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
