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
from workbench.measure.runtimes.onnx_file import save
from workbench.steps import Context, State
from workbench.task.batch import entering

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"


def write(folder: Path, state: State, context: Context) -> None:
    """Write the graph, checked against the ONNX standard."""
    import onnx

    save(_converted(state, context), folder / FILE)
    onnx.checker.check_model(folder / FILE)


def _converted(state: State, context: Context) -> onnx.ModelProto:
    """Return the graph of a state; where its layers have names that the converter trips over, under plain ones."""
    example = entering(state.model, context.example())
    try:
        return convert(state, example)
    except WorkbenchError:
        # The converter writes source with names of layers in it, which ends at a quote or a keyword.
        program = read_program(to_text(state.model, example), tensors(state.model))
        if all(name == plain for name, plain in program.names.items()):
            raise
        codings = {program.names.get(name, name): coding for name, coding in state.codings.items()}
        return convert(State(program.model, codings), example)


def integers_of(folder: Path) -> str:
    """Return how weights are held that meet 8-bit activations: "INT8" or "UINT8", "" if there are none."""
    if not (folder / FILE).is_file():
        return ""
    import onnx

    graph = onnx.load(folder / FILE, load_external_data=False).graph
    if not any(node.op_type == "QuantizeLinear" for node in graph.node):
        return ""
    read = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights = [value for value in graph.initializer if value.name in read and len(value.dims) > 1]
    kinds = {onnx.TensorProto.DataType.Name(value.data_type) for value in weights}
    return next((kind for kind in ("UINT8", "INT8") if kind in kinds), "")


def read(folder: Path) -> Forward:
    """Return the file's forward in ONNX Runtime."""
    return open_graph(folder / FILE)
