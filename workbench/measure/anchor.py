"""The model that edits are told from, and its graph in parts, traced once for each structure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from workbench.errors import WorkbenchError
from workbench.graph import trace
from workbench.graph.segments import Segments
from workbench.model.structure import structure
from workbench.steps import State
from workbench.task.samples import Samples

KEPT_PLANS = 4


@dataclass(frozen=True, eq=False)
class Anchor:
    """The model whose values are kept; edits are told from it by their parameters.

    Attributes:
        model: As it is.
        segments: Its graph in parts.
        values: Its parameters and buffers by every name they have.
        constants: What follows from these alone.
    """

    model: nn.Module
    segments: Segments
    values: Mapping[str, Tensor]
    constants: Mapping[str, Tensor]


class Plans:
    """Graphs in parts, by a model's structure and the order of memory that they are run in.

    Args:
        samples: The first of them are what models are traced with.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._programs: OrderedDict[object, ExportedProgram | None] = OrderedDict()
        self._segments: dict[tuple[object, str], Segments | None] = {}

    def known(self, model: nn.Module, layout: str) -> bool:
        """Return whether a model of this structure was traced."""
        return (structure(model), layout) in self._segments

    def clear(self) -> None:
        """Let go of all of them."""
        self._programs.clear()
        self._segments.clear()

    def anchor(self, state: State, layout: str) -> Anchor | None:
        """Return a state with its graph in parts, None if that cannot be had."""
        segments = self._cut(state.model, layout)
        if segments is None:
            return None
        values = values_of(state.model)
        with torch.inference_mode():
            return Anchor(state.model, segments, values, segments.constants(values))

    def _cut(self, model: nn.Module, layout: str) -> Segments | None:
        """Return the model's graph in parts, traced once for each structure; None if that cannot be done."""
        key = structure(model)
        if self._samples.call.free:  # the rows of samples of other sizes cannot be kept side by side
            return None
        if key not in self._programs:
            try:
                self._programs[key] = trace(model, self._samples.batch(range(min(2, len(self._samples))))[0])
            except WorkbenchError:
                self._programs[key] = None
            while len(self._programs) > KEPT_PLANS:
                gone, _ = self._programs.popitem(last=False)
                self._segments = {place: segments for place, segments in self._segments.items() if place[0] != gone}
        program = self._programs[key]
        if (key, layout) not in self._segments:
            try:
                self._segments[key, layout] = None if program is None else Segments(program, layout)
            except Exception:  # a graph of a kind that was not foreseen; the model is run as it is
                self._segments[key, layout] = None
        return self._segments[key, layout]


def values_of(model: nn.Module, overlay: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return parameters and buffers by all their names; tied ones change together."""
    tensors: dict[str, Tensor] = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    instead = {id(tensors[name]): value for name, value in (overlay or {}).items()}
    return {name: instead.get(id(value), value).detach() for name, value in tensors.items()}


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same, without a look at values where they are in one place."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return (one.data_ptr() == other.data_ptr() and one.stride() == other.stride()) or torch.equal(one, other)
