"""Forms made from the declaration of a step: one control for each of its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W

from workbench.steps import Option, Step

STYLE = {"description_width": "8.5em"}
MOST_SLIDER_STEPS = 100
WIDE = {"width": "auto", "max_width": "30em"}


class Form:
    """Controls for one kind of step.

    Args:
        kind: The step's class.
        changed: Called when any control was changed.
    """

    def __init__(self, kind: type[Step], changed: Callable[[], None]) -> None:
        self.kind = kind
        self.controls = {option.name: control(option) for option in kind.options()}
        for made in self.controls.values():
            made.observe(lambda _: changed(), "value")
        self.root = W.VBox([W.HTML(f"<p class='wb-help'>{kind.summary}</p>"), *self.controls.values()])

    @property
    def step(self) -> Step:
        """The step that the controls say.

        Raises:
            WorkbenchError: A value is not accepted.
        """
        return self.kind(**{name: made.value for name, made in self.controls.items()})

    def set(self, **values: Any) -> None:
        """Set controls by the names of their options."""
        for name, value in values.items():
            if name in self.controls:
                self.controls[name].value = value


def control(option: Option) -> W.Widget:
    """Return the control of an option; its help is the tooltip."""
    name = option.name.replace("_", " ")
    label = f"{name} ({option.unit})" if option.unit else name
    facts = {"value": option.default, "description": label, "tooltip": option.help, "style": STYLE, "layout": WIDE}
    if option.type is bool:
        return W.Checkbox(**{**facts, "indent": True})
    if option.choices:
        return W.Dropdown(options=option.choices, **facts)
    bounded = option.low is not None and option.high is not None
    if option.type is int and bounded and (option.high or 0) - (option.low or 0) > MOST_SLIDER_STEPS:
        return W.BoundedIntText(min=int(option.low or 0), max=int(option.high or 0), **facts)
    if option.type is int and bounded:
        return W.IntSlider(min=int(option.low or 0), max=int(option.high or 0), step=int(option.step or 1), **facts)
    if option.type is int:
        return W.IntText(**facts)
    if option.type is float and bounded and option.step:
        return W.FloatSlider(min=option.low, max=option.high, step=option.step, readout_format=".2f", **facts)
    if option.type is float:
        return W.FloatText(**facts)
    return W.Text(continuous_update=False, **facts)
