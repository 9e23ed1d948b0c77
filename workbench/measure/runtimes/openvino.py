"""OpenVINO on this machine's CPU, for the same ONNX graph that is exported; needs the extra `openvino`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.turn import TURN
from workbench.measure.runtimes.onnx import TOLERANCE, convert, open_graph, tree_of
from workbench.measure.runtimes.onnx_file import readable
from workbench.measure.runtimes.runtime import Forward, Runtime
from workbench.model.agreement import agree
from workbench.registry import register
from workbench.steps import State
from workbench.task.batch import Tree, leaves

HALVES = 0.05  # of the largest output: what differs where two runtimes round halves to different sides
MISSING = "OpenVINO is not installed: pip install 'compression-workbench[openvino]'"


@register
class OpenVino(Runtime):
    """OpenVINO's kernels, in the precision that the graph names."""

    kind = "openvino"
    title = "OpenVINO"
    position = 3
    usual = False

    def prepare(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        if find_spec("openvino") is None:
            raise WorkbenchError(MISSING)
        graph = convert(state, example)
        with readable(graph) as source:
            forward, other = opened(source), open_graph(source)
        # OpenVINO 2026.4 takes some packed weights of linear layers for others than they are.
        rounds = any(node.op_type == "QuantizeLinear" for node in graph.graph.node)
        pairs = zip(leaves(forward(example)), leaves(other(example)), strict=True)
        if not all(agree(one, other, HALVES if rounds else TOLERANCE) for one, other in pairs):
            raise WorkbenchError("OpenVINO computes other outputs of this file than ONNX Runtime does")
        return forward


def opened(source: bytes | Path) -> Forward:
    """Return a function from inputs to the outputs of a serialized ONNX model, or of a file.

    Raises:
        WorkbenchError: OpenVINO cannot read or compile it.
    """
    import openvino

    # Without the hint, float32 becomes bfloat16 where the processor has kernels for it, and outputs differ.
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = openvino.Core()
        request = core.compile_model(core.read_model(source), "CPU", settings).create_infer_request()
    except Exception as error:  # an operator that it does not know, a type without a kernel
        raise WorkbenchError(f"OpenVINO cannot run this model: {first_line(error)}") from error

    def forward(inputs: tuple[Tensor, ...]) -> Tree:
        feeds = [value.numpy() for value in inputs]
        with TURN:
            outputs = tuple(torch.from_numpy(value.copy()) for value in request.infer(feeds).values())
        return tree_of(outputs, inputs)

    return forward
