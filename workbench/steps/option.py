"""The fields of a step: one declaration for the panel's form, the command line, the JSON and the documentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Option:
    """What a field is to people.

    Attributes:
        name: The field's name.
        type: bool, int, float or str.
        default: Its default value.
        help: One sentence on what it does.
        unit: What the number counts.
        low: Smallest accepted number.
        high: Largest accepted number.
        step: What one move of a slider changes.
        choices: The accepted strings; () for any.
        more: Whether it is for those who look for more; a form folds it away.
        reads: What reads a text of a form of its own, and raises an error for another; None for any text.
    """

    name: str
    type: type
    default: Any
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    more: bool = False
    reads: Callable[[str], object] | None = None

    def check(self, value: Any) -> Any:
        """Return the value in the field's type.

        Raises:
            WorkbenchError: The value is of another type, out of range, not a choice, or not of the text's form.
        """
        accepted = (int, float) if self.type is float else (self.type,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.type is not bool):
            raise WorkbenchError(f"{self.name} must be {self.type.__name__}, not {value!r}")
        if self.choices and value not in self.choices:
            raise WorkbenchError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}")
        number: Any = value
        if self.low is not None and not self.low <= number:
            raise WorkbenchError(f"{self.name} must be at least {self.low:g}, not {value!r}")
        if self.high is not None and not number <= self.high:
            raise WorkbenchError(f"{self.name} must be at most {self.high:g}, not {value!r}")
        if self.reads is not None:
            self.reads(number)
        return self.type(value)

    def parse(self, text: str) -> Any:
        """Return the value of a text, as it stands on a command line.

        Raises:
            WorkbenchError: The text is no value of the field's type.
        """
        flags: dict[str, Any] = {"true": True, "false": False} if self.type is bool else {}
        try:
            return self.check(flags[text.lower()] if flags else self.type(text))
        except (KeyError, ValueError):
            accepted = " or ".join(flags) or {int: "a whole number", float: "a number"}.get(self.type, "a text")
            raise WorkbenchError(f"{self.name} must be {accepted}, not {text!r}") from None


def option(
    default: Any,
    help: str,  # noqa: A002  # the field's name for it everywhere
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: Iterable[str] = (),
    more: bool = False,
    reads: Callable[[str], object] | None = None,
) -> Any:
    """Return a dataclass field that carries an `Option`; choices of a registry grow as things are registered."""
    numeric = {"unit": unit, "low": low, "high": high, "step": step}
    return dataclasses.field(
        default=default, metadata={"help": help, **numeric, "choices": choices, "more": more, "reads": reads}
    )


def options(step: Any) -> tuple[Option, ...]:
    """Return the options of a step or a kind of step, in the order of their declaration."""
    return tuple(
        Option(
            name=field.name,
            type=type(field.default),
            default=field.default,
            **{**field.metadata, "choices": tuple(field.metadata["choices"])},
        )
        for field in dataclasses.fields(step)
    )
