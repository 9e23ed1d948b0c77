"""Tied tensors in a traced graph, each read under the name that its reader has for it.

Tracing takes one name for all reads of a tied tensor. A layer that reads its weight under another layer's name, and its
bias under its own, cannot become a module again.
"""

from __future__ import annotations

from torch import nn
from torch.export import ExportedProgram

from workbench.graph.walk import canonical_names, module_of


def read_by_own_names(program: ExportedProgram, model: nn.Module) -> None:
    """Let every call in a graph, changed in place, read tied tensors under the names of the module that calls.

    Args:
        program: The model's graph, in nobody else's hands.
        model: What it was traced from.
    """
    first = canonical_names(model)
    if len(set(first.values())) == len(first):
        return
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    entering = {stored[node.name]: node for node in program.graph.nodes if node.name in stored}
    for node in program.graph.nodes:
        place = module_of(node) if node.op == "call_function" else ""
        for source in node.all_input_nodes if place else ():
            name = stored.get(source.name, "")
            own = f"{place}.{name.rpartition('.')[2]}"
            if own != name and own in entering and name in first and first.get(own) == first[name]:
                node.replace_input_with(source, entering[own])
