"""The torch.export program: one file that PyTorch runs without the model's source."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from workbench.graph import trace
from workbench.measure.runtimes import Forward
from workbench.steps import Context, State
from workbench.task.batch import Tree, flat, outputs_of

FILE = "model.pt2"


def write(folder: Path, state: State, context: Context) -> None:
    """Write the program with its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remarks on its own archive format
        torch.export.save(trace(state.model, context.example()), folder / FILE)


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
