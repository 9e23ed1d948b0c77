"""Forms: every option of every step has a control, and the controls give the step back."""

from __future__ import annotations

import ipywidgets as W
import pytest

from widgets.forms import Form, Forms, control
from workbench.steps import KINDS, Option, Step


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_form_gives_the_step_with_its_defaults(kind: type[Step]) -> None:
    form = Form(kind, lambda: None)
    assert form.step == kind()
    assert set(form.controls) == {option.name for option in kind.options()}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_help_and_range_come_from_the_declaration(kind: type[Step]) -> None:
    form = Form(kind, lambda: None)
    for option in kind.options():
        made = form.controls[option.name]
        assert made.tooltip == option.help
        if isinstance(made, W.FloatSlider | W.IntSlider):
            assert (made.min, made.max) == (option.low, option.high)
        if option.choices:
            assert made.options == option.choices


def test_moving_a_control_tells_and_changes_the_step() -> None:
    told = []
    form = Form(KINDS["prune"], lambda: told.append(1))
    form.controls["amount"].value = 0.75
    assert told == [1]
    assert form.step == KINDS["prune"](amount=0.75)


@pytest.mark.parametrize(
    ("option", "widget"),
    [
        (Option("x", bool, True, "h"), W.Checkbox),
        (Option("x", str, "a", "h", choices=("a", "b")), W.Dropdown),
        (Option("x", int, 8, "h", low=2, high=8), W.IntSlider),
        (Option("x", int, 64, "h", low=1, high=4096), W.BoundedIntText),
        (Option("x", float, 0.5, "h", low=0, high=1, step=0.1), W.FloatSlider),
        (Option("x", float, 0.01, "h", low=1e-6, high=1), W.FloatText),
        (Option("x", str, "*", "h"), W.Text),
    ],
)
def test_each_type_has_its_control(option: Option, widget: type[W.Widget]) -> None:
    assert type(control(option)) is widget


def test_forms_are_made_when_asked_for_and_kept() -> None:
    forms = Forms(KINDS, lambda: None)
    assert not forms
    made = forms["prune"]
    made.set(amount=0.75)
    assert forms["prune"] is made
    assert list(forms) == ["prune"]
