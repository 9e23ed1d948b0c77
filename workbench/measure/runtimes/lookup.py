"""Rows of a table of integers: looked up first, and turned into values afterwards.

A table that is turned into values as a whole takes longer than all else that a small net for text does: it has
thousands of rows, of which a sample reads some.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def lookups(nodes: Iterable[onnx.NodeProto], table: str) -> list[onnx.NodeProto]:
    """Return the nodes that look up rows of a table, none if anything else reads it."""
    readers = [node for node in nodes if table in node.input]
    rows = [node for node in readers if _takes_rows(node) and node.input[0] == table and node.input[1] != table]
    return rows if len(rows) == len(readers) else []


def _takes_rows(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gather" and not any(
        attribute.name == "axis" and attribute.i for attribute in node.attribute
    )


def looked_up(gather: onnx.NodeProto, parts: Iterable[str], table: str, by_row: bool) -> list[onnx.NodeProto]:
    """Return nodes that give what a lookup gave, from `table.integers`, `table.scale` and `table.zero`.

    Args:
        gather: The lookup, whose output they take over.
        parts: Which of these three there are; without "zero" the grid lies around zero.
        table: Name of the table.
        by_row: Whether scale and zero are [rows, 1], and looked up too.
    """
    from onnx import helper

    rows, output = gather.input[1], gather.output[0]
    nodes, values = [], {}
    for part in parts:
        values[part] = f"{table}.{part}"
        if part == "integers" or by_row:
            values[part] = f"{output}.{part}"
            nodes.append(helper.make_node("Gather", [f"{table}.{part}", rows], [values[part]], name=values[part]))
    return [*nodes, *multiplied(values["integers"], values["scale"], values.get("zero"), output, output)]


def multiplied(integers: str, scale: str, zero: str | None, prefix: str, output: str) -> list[onnx.NodeProto]:
    """Return nodes that turn integers into values by plain operators: less their zero, times their scale.

    Args:
        integers: Name of what they read.
        scale: Likewise.
        zero: Likewise, None for a grid around zero.
        prefix: Of the names of what lies between.
        output: Name of the values.
    """
    from onnx import TensorProto, helper

    last = f"{prefix}.cast"
    nodes = [helper.make_node("Cast", [integers], [last], name=last, to=TensorProto.FLOAT)]
    if zero is not None:
        nodes.append(helper.make_node("Sub", [last, zero], [f"{prefix}.shifted"], name=f"{prefix}.shifted"))
        last = f"{prefix}.shifted"
    return [*nodes, helper.make_node("Mul", [last, scale], [output], name=f"{prefix}.multiply")]
