"""ONNX graphs of a state, and ONNX Runtime to run them.

Converting a model takes seconds; putting other weights into a graph takes milliseconds. So the converted graph
is kept for as long as the model's structure stands, and reused with new initializers after its outputs were
compared with the model's own.
"""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from subprocess import DEVNULL
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.turn import TURN
from workbench.measure.runtimes.integers import with_integers
from workbench.measure.runtimes.onnx_export import exported, has_branches, unrounded
from workbench.measure.runtimes.onnx_file import readable
from workbench.measure.runtimes.runtime import Forward, Runtime
from workbench.model.agreement import agree
from workbench.model.structure import structure
from workbench.registry import register
from workbench.steps import State
from workbench.task.batch import Inputs, Tree, judged, leaves, outputs_of

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-4
KEPT_GRAPHS = 8
OPENING = """import sys, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
model = sys.argv[1] if sys.argv[1:] else sys.stdin.buffer.read()
onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])"""
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
    return opened if opened is not None and graph is floating else opened_model(graph)


def opened_model(graph: onnx.ModelProto) -> Forward:
    """Return a function from inputs to the outputs of an ONNX model; errors as `open_graph`."""
    with readable(graph) as source:
        return open_graph(source)


def open_graph(source: bytes | Path) -> Forward:
    """Return a function from inputs to the outputs of a serialized ONNX model, or of a file.

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
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # an operator without a kernel for its type, such as a float64 convolution
        raise WorkbenchError(f"ONNX Runtime cannot run this model: {first_line(error)}") from error
    names = [one.name for one in session.get_inputs()]

    def forward(inputs: tuple[Tensor, ...]) -> Tree:
        feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        with TURN:
            outputs = tuple(torch.from_numpy(output) for output in session.run(None, feeds))
        return tree_of(outputs, inputs)

    return forward


def tree_of(outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> Tree:
    """Return what is judged of a graph's outputs, which are given one after the other."""
    if len(outputs) == 1:
        return outputs[0]
    return judged(outputs, inputs) if isinstance(inputs, Inputs) else outputs


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
        earlier = _graphs.get(key)
    if earlier is not None:
        for place in (None, -1, 0):
            renewed = _renew(earlier if place is None else _opened(earlier, place), model)
            opened = _agreeing(renewed, model, example)
            if opened is not None:
                _keep(key, renewed)
                return renewed, opened
    graph = exported(model, example)
    if has_branches(graph):
        _check_opening(graph)
    _keep(key, graph)
    return graph, None


def _check_opening(graph: onnx.ModelProto) -> None:
    """Open a graph in another process first, and raise an error if that takes the process with it."""
    with readable(graph) as source:
        given: Any = {"input": source} if isinstance(source, bytes) else {}
        line = [sys.executable, "-c", OPENING, *([] if given else [str(source)])]
        opened = subprocess.run(line, **given, stderr=DEVNULL, check=False)  # noqa: S603  # our own, by this interpreter
    if opened.returncode < 0 or opened.returncode > 0x80000000:  # a signal; on Windows an exception of the system
        raise WorkbenchError("ONNX Runtime crashes when it opens this model's graph, which has loops or branches")


def _keep(key: object, graph: onnx.ModelProto) -> None:
    with _lock:
        _graphs[key] = graph
        _graphs.move_to_end(key)
        while len(_graphs) > KEPT_GRAPHS:
            _graphs.popitem(last=False)


def _opened(earlier: onnx.ModelProto, place: int) -> onnx.ModelProto:
    """Return a graph in which reshapes leave one size, the first or last beside the batch's, to follow from the others.

    The exporter writes the number of channels into them, and another number of channels would need another graph.
    """
    from onnx import helper, numpy_helper

    fresh = type(earlier)()
    fresh.CopyFrom(earlier)
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


def _renew(earlier: onnx.ModelProto, model: nn.Module) -> onnx.ModelProto:
    from onnx import numpy_helper

    fresh = type(earlier)()
    fresh.CopyFrom(earlier)
    values = model.state_dict()
    for initializer in fresh.graph.initializer:
        if initializer.name in values:
            array = np.ascontiguousarray(values[initializer.name].detach().numpy())
            initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    del fresh.graph.value_info[:]  # its shapes are those of the old channels
    return fresh


def _agreeing(graph: onnx.ModelProto, model: nn.Module, example: tuple[Tensor, ...]) -> Forward | None:
    """Return how to run a graph if it gives the model's outputs, else None."""
    try:
        with torch.no_grad():
            wanted = outputs_of(unrounded(model), example)
        opened = opened_model(graph)
        got = opened(example)
    except Exception:  # a graph that does not fit fails in ONNX Runtime in many ways; a new export settles it
        return None
    pairs = zip(leaves(got), leaves(wanted), strict=True)
    return opened if all(agree(one, other, TOLERANCE) for one, other in pairs) else None
