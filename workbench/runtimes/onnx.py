"""ONNX graphs of a state, and ONNX Runtime to run them.

Converting a model takes seconds; putting other weights into a graph takes milliseconds. So the converted graph
is kept for as long as the model's structure stands, and reused with new initializers after its outputs were
compared with the model's own.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line
from workbench.graph.trace import TRACING
from workbench.quantizer import simulate
from workbench.runtimes.qdq import with_integers
from workbench.steps import State
from workbench.task import logits
from workbench.turn import TURN
from workbench.twin import twin

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-4
KEPT_GRAPHS = 8
_graphs: OrderedDict[tuple[Any, ...], onnx.ModelProto] = OrderedDict()
_lock = Lock()


def prepare(state: State, example: tuple[Tensor, ...]) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Return a function from inputs to logits that runs the state in ONNX Runtime on this machine's CPU.

    Raises:
        WorkbenchError: The model cannot be converted.
    """
    return open_graph(convert(state, example).SerializeToString())


def open_graph(serialized: bytes) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Return a function from inputs to the first output of a serialized ONNX model.

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
    first = session.get_outputs()[0].name

    def forward(inputs: tuple[Tensor, ...]) -> Tensor:
        feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        with TURN:
            return torch.from_numpy(session.run([first], feeds)[0])

    return forward


def convert(state: State, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """Return the ONNX model of a state, with integer weights and QDQ nodes where it is quantized.

    Raises:
        WorkbenchError: The model cannot be converted.
    """
    if any(value.dtype == torch.bfloat16 for value in (*state.model.parameters(), *example)):
        raise WorkbenchError("ONNX Runtime has no bfloat16 kernels on a CPU; convert a model.float()")
    return with_integers(skeleton(state.model, example), state.model, state.codings)


def skeleton(model: nn.Module, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """Return the floating-point ONNX model, reusing the graph of an equal structure where its outputs agree."""
    key = _structure(model)
    with _lock:
        kept = _graphs.get(key)
    if kept is not None:
        renewed = _renew(kept, model)
        if renewed is not None and _agrees(renewed, model, example):
            return renewed
    made = _export(model, example)
    with _lock:
        _graphs[key] = made
        _graphs.move_to_end(key)
        while len(_graphs) > KEPT_GRAPHS:
            _graphs.popitem(last=False)
    return made


def _structure(model: nn.Module) -> tuple[Any, ...]:
    # extra_repr holds channel numbers, which may change without a new graph; types and names may not.
    return (type(model), *((name, type(module)) for name, module in model.named_modules()))


def _renew(kept: onnx.ModelProto, model: nn.Module) -> onnx.ModelProto | None:
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


def _agrees(graph: onnx.ModelProto, model: nn.Module, example: tuple[Tensor, ...]) -> bool:
    try:
        with torch.no_grad():
            wanted = logits(_plain(model)(*example))
        got = open_graph(graph.SerializeToString())(example)
    except Exception:  # a graph that does not fit fails in ONNX Runtime in many ways; a new export settles it
        return False
    return got.shape == wanted.shape and bool(
        torch.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE * float(wanted.abs().max().clamp(min=1.0)))
    )


def _export(model: nn.Module, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    plain = _plain(model)
    dynamic: Any = tuple({0: torch.export.Dim.DYNAMIC} for _ in example)
    try:
        with _quiet():
            try:
                program = torch.onnx.export(
                    plain, example, dynamo=True, dynamic_shapes=dynamic, optimize=False, verbose=False
                )
            except Exception:  # a model that fixes its batch size is still worth a graph of that size
                program = torch.onnx.export(plain, example, dynamo=True, optimize=False, verbose=False)
    except Exception as error:
        raise WorkbenchError(f"the model cannot be converted to ONNX: {first_line(error)}") from error
    if program is None:
        raise WorkbenchError("the model cannot be converted to ONNX: the exporter gave nothing")
    proto: onnx.ModelProto = program.model_proto
    _forget_source(proto)
    return proto


def _forget_source(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes on where in the source a node came from: paths of this machine, and half the file."""
    del proto.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
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
