"""The torch.export program: one file that PyTorch runs without the model's source."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram

from workbench.checkpoint.files import open_for_torch
from workbench.graph import trace
from workbench.graph.reader.names import plain_names
from workbench.measure.runtimes import Forward
from workbench.steps import Context, State
from workbench.task.batch import Tree, flat, outputs_of

FILE = "model.pt2"


def write(folder: Path, state: State, context: Context) -> None:
    """Write the program with its weights."""
    program = trace(state.model, context.example())
    _make_plain(program)
    logger = logging.getLogger("torch.export.pt2_archive._package")
    level = logger.level
    with warnings.catch_warnings(), open_for_torch(folder / FILE) as file:
        warnings.simplefilter("ignore")  # torch's remarks on its own archive format
        logger.setLevel(logging.ERROR)  # likewise, on what a file may be
        try:
            torch.export.save(program, cast(IO[bytes], file))
        finally:
            logger.setLevel(level)


def _make_plain(program: ExportedProgram) -> None:
    """Give tensors plain names: torch writes those of layers into source and metadata, which break at quotes, commas...

    Names that are plain already are kept.
    """
    plain = plain_names(program.state_dict)
    for entry in program.graph_signature.input_specs:
        if entry.target in plain:
            entry.target = plain[entry.target]
    for name in [name for name, new in plain.items() if new != name]:
        program.state_dict[plain[name]] = program.state_dict.pop(name)
    for node in program.graph.nodes:  # which module a node came from, under that module's name
        node.meta.pop("nn_module_stack", None)


def read(folder: Path) -> Forward:
    """Return the file's forward. pt2 files hold pickles: only one that `write` made a moment ago is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(folder / FILE).module()
    flat(module)

    def forward(inputs: tuple[Tensor, ...]) -> Tree:
        with torch.inference_mode():
            return outputs_of(module, inputs)

    return forward
