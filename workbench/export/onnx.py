"""The ONNX file, with integer weights and Quantize/Dequantize pairs where the state is quantized."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.checkpoint.checkpoint import tensors
from workbench.errors import WorkbenchError
from workbench.graph.program import to_text
from workbench.graph.reader import read_program
from workbench.measure.runtimes import Forward
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.steps import Context, State

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"


def write(folder: Path, state: State, context: Context) -> None:
    """Write the graph, checked against the ONNX standard."""
    import onnx

    graph = _converted(state, context)
    onnx.checker.check_model(graph)
    onnx.save(graph, folder / FILE)


def _converted(state: State, context: Context) -> onnx.ModelProto:
    """Return the graph of a state; where its layers have names that the converter trips over, under plain ones."""
    example = context.example()
    try:
        return convert(state, example)
    except WorkbenchError:
        # The converter writes source with names of layers in it, which ends at a quote or a keyword.
        made = read_program(to_text(state.model, example), tensors(state.model))
        if all(name == plain for name, plain in made.names.items()):
            raise
        codings = {made.names.get(name, name): coding for name, coding in state.codings.items()}
        return convert(State(made.model, codings), example)


def read(folder: Path, context: Context) -> Forward:
    """Return the file's forward in ONNX Runtime."""
    return open_graph((folder / FILE).read_bytes())
