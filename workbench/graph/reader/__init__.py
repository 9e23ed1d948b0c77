"""Models from text that may come from anybody: read by the workbench itself, and nothing in it is ever run.

`records` reads the text, field by field; `operators` is the closed list of what may be called, `arguments` holds each
call against it; `build` makes a graph and modules under names of our own; `budget` runs it once on tensors without
memory; `writes` makes it pure; `running` is the module that comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from workbench.graph.reader.budget import check_budget
from workbench.graph.reader.build import Builder, modules
from workbench.graph.reader.limits import text_limit
from workbench.graph.reader.records import parse
from workbench.graph.reader.running import ProgramModule
from workbench.graph.reader.writes import without_writes
from workbench.graph.remake import modules_again
from workbench.task.batch import mark_feeds

__all__ = ["ProgramModule", "Read", "read_program", "text_limit"]


@dataclass(frozen=True)
class Read:
    """A model made of text.

    Attributes:
        model: In evaluation mode, with the tensors that were given.
        names: For every tensor's name in the text the one that it has in the model; nearly always the same.
    """

    model: nn.Module
    names: Mapping[str, str]


def read_program(text: bytes, tensors: Mapping[str, Tensor]) -> Read:
    """Return the model of a graph's text and its tensors, with layers as modules under their old names.

    Raises:
        WorkbenchError: The text is damaged, says what a program may not, asks for more memory than what it came with
            justifies, or the tensors do not fit.
    """
    program = parse(text)
    root, names = modules(program, tensors)
    builder = Builder(program, root, names)
    graph = builder.graph
    check_budget(graph, {node: builder.example(name) for node, name in builder.entering})
    without_writes(graph)
    modules_again(root, graph)
    model = ProgramModule(root, graph).eval()
    mark_feeds(model, program.feeds)
    return Read(model, names)
