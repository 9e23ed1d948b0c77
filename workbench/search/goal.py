"""A goal: what is wanted of a compressed model, in what people say: lose at most this, make that least, in so long."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.checkpoint.facts import said
from workbench.errors import WorkbenchError
from workbench.measure.runtimes import RUNTIMES, title_of

FORMAT, VERSION = "workbench goal", 1
LATENCY = "latency:"
WORST_CLASS = "worst class"
# What can be made small, and what people read.
QUANTITIES = {
    "bytes": "the file",
    "parameters": "the number of parameters",
    "macs": "multiply-accumulates",
    "memory": "peak memory",
    "energy": "energy (modelled)",
}


def quantity_title(name: str) -> str:
    """Return what people read for the name of a quantity."""
    if name.startswith(LATENCY):
        return f"time on {title_of(name.removeprefix(LATENCY))}"
    return "points lost by the worst class" if name == WORST_CLASS else QUANTITIES[name]


def quantities() -> tuple[str, ...]:
    """Return the names of all that can be made small."""
    return (*QUANTITIES, *(f"{LATENCY}{runtime}" for runtime in RUNTIMES))


@dataclass(frozen=True)
class Goal:
    """What is wanted of a compressed model.

    Attributes:
        lose: By how much the score may be worse than the untouched model's, in points: hundredths where the metric
            reads in per cent, else the metric's own unit. Which way is worse is the metric's to say.
        least: What is to be small: "bytes" of the file, "parameters", "macs", "memory" (peak bytes of a forward pass),
            "energy" (joules a sample, modelled) or "latency:RUNTIME". Several, in a tuple, give a front.
        seconds: Time to spend, without that for the baseline and a last, exact score of what is shown.
        most: Limits besides: any of these quantities to its largest value (latency in seconds for a batch), and
            "worst class", the points that no class may lose more than. Given as a mapping, held as pairs.

    Raises:
        WorkbenchError: A value is not accepted.
    """

    lose: float = 0.5
    least: str | tuple[str, ...] = "bytes"
    seconds: float = 600.0
    most: Mapping[str, float] | tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "lose", _number("lose", self.lose, 0.0))
        object.__setattr__(self, "seconds", _number("seconds", self.seconds, 0.0))
        object.__setattr__(self, "least", _names(self.least))
        pairs: Any = self.most.items() if isinstance(self.most, Mapping) else self.most
        try:
            limits = dict(pairs)
        except (TypeError, ValueError):
            raise WorkbenchError(f"most is a mapping of quantities to their limits, not {said(self.most)}") from None
        for name in limits:
            _check_name("most", name, (*quantities(), WORST_CLASS))
        checked = {str(name): _number(f"most {name}", value, 0.0) for name, value in limits.items()}
        object.__setattr__(self, "most", tuple(sorted(checked.items())))

    @property
    def objectives(self) -> tuple[str, ...]:
        """The quantities that are to be small."""
        return _names(self.least)

    @property
    def limits(self) -> dict[str, float]:
        """The quantities that have a limit, beside the score."""
        return dict(self.most)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes on which something has to be timed."""
        named = [*self.objectives, *self.limits]
        return tuple(dict.fromkeys(name.removeprefix(LATENCY) for name in named if name.startswith(LATENCY)))

    @property
    def counted(self) -> tuple[str, ...]:
        """The quantities that follow from a built model, without timing it."""
        return tuple(name for name in QUANTITIES if name in self.objectives or name in self.limits or name == "bytes")

    def tolerance(self, unit: str) -> float:
        """Return what may be lost in the unit of a metric's values: 0.005 for half a point of accuracy."""
        return self.lose / 100 if unit == "%" else self.lose

    @property
    def words(self) -> str:
        """The goal as a sentence."""
        small = " and ".join(quantity_title(name) for name in self.objectives)
        limits = "".join(f", {quantity_title(name)} at most {value:g}" for name, value in self.limits.items())
        return f"lose at most {self.lose:g} points, make {small} least{limits}, in {self.seconds:g} s"

    def facts(self) -> dict[str, Any]:
        """Return the goal as plain JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "lose": self.lose,
            "least": list(self.objectives),
            "seconds": self.seconds,
            "most": self.limits,
        }

    @classmethod
    def read(cls, facts: Any) -> Goal:
        """Return the goal of plain JSON.

        Raises:
            WorkbenchError: It is none, or one of another version; a value is not accepted.
        """
        if not isinstance(facts, Mapping) or facts.get("format") != FORMAT:
            raise WorkbenchError(f'this is no goal: it must be a JSON object with "format": "{FORMAT}"')
        if facts.get("version") != VERSION:
            raise WorkbenchError(f"goal version {said(facts.get('version'))} is not read; this reads {VERSION}")
        known = {"lose", "least", "seconds", "most"}
        if unknown := set(facts) - known - {"format", "version"}:
            raise WorkbenchError(f"a goal has no field {', '.join(sorted(map(str, unknown)))}")
        values = {name: facts[name] for name in known & set(facts)}
        if isinstance(values.get("least"), list):
            values["least"] = tuple(values["least"])
        return cls(**values)


def _number(name: str, value: Any, low: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < low:
        raise WorkbenchError(f"a goal's {name} is a number of at least {low:g}, not {said(value)}")
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    names: Iterable[Any] = (value,) if isinstance(value, str) else value if isinstance(value, Sequence) else ()
    found = tuple(dict.fromkeys(names))
    if not found:
        raise WorkbenchError(f"a goal's least is one of {', '.join(quantities())}, or several, not {said(value)}")
    for name in found:
        _check_name("least", name, quantities())
    return found


def _check_name(field: str, name: Any, known: Sequence[str]) -> None:
    if name not in known:
        raise WorkbenchError(f"a goal's {field} names {said(name)}; there are {', '.join(known)}")
