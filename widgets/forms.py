"""Forms made from the declaration of a step: one control for each of its options."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import ipywidgets as W

from widgets.fold import Fold
from widgets.lesson_link import LessonLink
from workbench.lessons import lesson_of
from workbench.steps import Option, Step

MOST_SLIDER_STEPS = 100
WIDE = {"width": "auto", "max_width": "34em"}
EM_A_LETTER = 0.56  # of the panel's font; labels are never cut


class Form:
    """Controls for one kind of step; those that are for few people are folded away.

    Args:
        kind: The step's class.
        changed: Called when any control was changed.
    """

    def __init__(self, kind: type[Step], changed: Callable[[], None]) -> None:
        self.kind = kind
        options = kind.options()
        width = f"{EM_A_LETTER * max(len(label(option)) for option in options) + 1:.1f}em"
        self.controls = {option.name: control(option, width) for option in options}
        self._defaults = {option.name: option.default for option in options}
        self._more = [option.name for option in options if option.more]
        self._helps = [W.HTML(f"<p class='wb-option-help'>{escape(option.help)}</p>") for option in options]
        rows = {
            option.name: W.VBox([self.controls[option.name], help_text])
            for option, help_text in zip(options, self._helps, strict=True)
        }
        self.explain = W.ToggleButton(
            description="Explain", icon="question", tooltip="A sentence on each option, and the source of the method",
            layout={"flex": "0 0 auto", "width": "auto"},
        )  # fmt: skip
        self.about = W.VBox([W.HTML(_about(kind)), *_lesson_link(kind)])
        self.more = Fold("More options", W.VBox([rows[name] for name in self._more]))
        for widget in self.controls.values():
            widget.observe(lambda _: changed(), "value")
            widget.observe(lambda _: self._count(), "value")
        self.explain.observe(lambda _: self._explain(), "value")
        words = escape(kind.summary)
        summary = W.HTML(f"<p class='wb-help' title='{words}'>{words}</p>", layout={"flex": "1 1 auto"})
        summary.add_class("wb-summary")
        head = W.HBox([summary, self.explain])
        main = [row for name, row in rows.items() if name not in self._more]
        self.root = W.VBox([head, self.about, *main, *([self.more] if self._more else [])])
        self._explain()
        self._count()

    @property
    def step(self) -> Step:
        """The step that the controls say.

        Raises:
            WorkbenchError: A value is not accepted.
        """
        # A slider in the page counts steps from its start, and sends 0.19999999999999996 for 0.2.
        values = {name: widget.value for name, widget in self.controls.items()}
        return self.kind(**{name: round(v, 10) if isinstance(v, float) else v for name, v in values.items()})

    def set(self, **values: Any) -> None:
        """Set controls by the names of their options."""
        for name, value in values.items():
            if name in self.controls:
                self.controls[name].value = value

    def show(self, step: Step) -> None:
        """Set all controls to what a step of this kind says."""
        self.set(**{name: getattr(step, name) for name in self.controls})

    def _explain(self) -> None:
        for help_text in (*self._helps, self.about):
            help_text.layout.display = "" if self.explain.value else "none"

    def _count(self) -> None:
        moved = sum(self.controls[name].value != self._defaults[name] for name in self._more)
        title = f"More options ({moved} changed)" if moved else "More options"
        self.more.button.description = title


class Forms(dict[str, Form]):
    """Forms by the names of kinds, each made when it is first asked for.

    All of them are thousands of widgets: a page is slow to open with them, and a reloaded one may give up.

    Args:
        kinds: Step classes by name.
        changed: Called when any control was changed.
    """

    def __init__(self, kinds: Mapping[str, type[Step]], changed: Callable[[], None]) -> None:
        super().__init__()
        self._kinds, self._changed = kinds, changed

    def __missing__(self, name: str) -> Form:
        return self.setdefault(name, Form(self._kinds[name], self._changed))


def _about(kind: type[Step]) -> str:
    words = escape((sys.modules[kind.__module__].__doc__ or "").strip())
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", words)
    return f"<div class='wb-about'>{marked}</div>"


def _lesson_link(kind: type[Step]) -> list[W.Widget]:
    found = lesson_of(kind.kind)
    return [LessonLink(f"Lesson {found.number} of the course: {found.title}", found)] if found else []


def label(option: Option) -> str:
    """Return what stands before an option's control."""
    name = option.name.replace("_", " ")
    return f"{name} ({option.unit})" if option.unit and option.unit not in name else name


def control(option: Option, width: str = "auto") -> W.Widget:
    """Return the control of an option; its help is the tooltip.

    Args:
        option: What is set.
        width: Of the label, in CSS.
    """
    style = {"description_width": width}
    facts = {"value": option.default, "description": label(option), "tooltip": option.help, "style": style}
    facts["layout"] = WIDE
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
