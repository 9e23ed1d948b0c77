"""The ONNX file, with integer weights and Quantize/Dequantize pairs where the state is quantized."""

from __future__ import annotations

from pathlib import Path

from workbench.measure.runtimes import Forward
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.steps import Context, State

FILE = "model.onnx"


def write(folder: Path, state: State, context: Context) -> None:
    """Write the graph, checked against the ONNX standard."""
    import onnx

    graph = convert(state, context.example())
    onnx.checker.check_model(graph)
    onnx.save(graph, folder / FILE)


def read(folder: Path) -> Forward:
    """Return the file's forward in ONNX Runtime."""
    return open_graph((folder / FILE).read_bytes())
