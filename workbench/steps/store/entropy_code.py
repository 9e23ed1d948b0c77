"""Entropy coding of weights that are stored as codes: frequent codes take fewer bits.

Huffman: "A Method for the Construction of Minimum-Redundancy Codes", 1952; Han, Mao, Dally: "Deep Compression", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import Stage, WeightStep


@register
@dataclass(frozen=True, kw_only=True)
class EntropyCode(WeightStep):
    """Huffman-codes what is stored as codes, where that is shorter. No weight changes."""

    kind: ClassVar[str] = "entropy_code"
    title: ClassVar[str] = "Entropy-code"
    also: ClassVar[str] = "Huffman compression"
    shelf: ClassVar[str] = "Store"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.CODE
    searched: ClassVar[bool] = True
    summary: ClassVar[str] = (
        "Writes frequent codes with fewer bits, layer by layer where that is shorter. Only the file changes; "
        "it comes last, because steps that code weights anew start without it."
    )

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        codings = {
            layer.parameter: state.codings.get(layer.parameter) for layer in self.chosen(context.layers(state.model))
        }
        return {
            name: Change(state.model.get_parameter(name).detach(), replace(coding, entropy=True))
            for name, coding in codings.items()
            if coding is not None
        }

    def build(self, state: State, context: Context) -> State:
        plain = [
            layer.name for layer in self.chosen(context.layers(state.model)) if layer.parameter not in state.codings
        ]
        notes = tuple(f"{name}: not entropy-coded, it is stored as plain numbers; quantize it first" for name in plain)
        return super().build(state, context).with_notes(*notes)
