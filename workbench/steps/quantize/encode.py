"""What all steps that store weights as codes have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from workbench.checkpoint.coding import Coding
from workbench.model.layers import Layer
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.quantize.rounding import ROUNDINGS
from workbench.steps.state import State
from workbench.steps.step import WeightStep
from workbench.steps.untouched import untouched_note

ROUNDING_HELP = (
    "Nearest looks at each weight alone; the others at what the layer makes of calibration data, which takes longer."
)


class CodingStep(WeightStep):
    """A step that stores weights as codes. Its field `rounding` names one of `ROUNDINGS`."""

    rounding: str

    def remarks(self, state: State, context: Context) -> list[str]:
        layers = context.layers(state.model)
        rule = ROUNDINGS[self.rounding]
        plain = [layer.name for layer in self.chosen(layers) if not rule.looks_at(state.model, layer.parameter)]
        notes = [f"{', '.join(plain)}: rounded to the nearest value; {rule.sees}"] if plain else []
        return notes + untouched_note(self.title, state.model, layers)


def encoded(
    state: State,
    context: Context,
    chosen: Sequence[Layer],
    fit: Callable[[Tensor, Layer], Coding],
    rounding: str = "nearest",
) -> dict[str, Change]:
    """Return the layers' weights on the values of codings that suit them.

    Args:
        state: Whose weights.
        context: Gives calibration data and takes progress.
        chosen: The layers.
        fit: From a weight and its layer to its coding.
        rounding: One of `ROUNDINGS`.
    """
    names: dict[str, str] = {}
    codings: dict[str, Coding] = {}
    first: dict[int, str] = {}
    for layer in chosen:
        context.progress.check()
        parameter = state.model.get_parameter(layer.parameter)
        # Tied layers share one weight, and so one coding.
        names[layer.parameter] = first.setdefault(id(parameter), layer.parameter)
        if names[layer.parameter] == layer.parameter:
            codings[layer.parameter] = fit(parameter.detach(), layer)
    pruned = (state.model.get_parameter(name) for name in state.pruned)
    masks = {first[id(parameter)]: parameter.detach() != 0 for parameter in pruned if id(parameter) in first}
    rule = ROUNDINGS[rounding]
    rounded = rule.weights(state.model, codings, masks, context.subject.task, context.progress)
    return {name: Change(rounded[source], codings[source]) for name, source in names.items()}
