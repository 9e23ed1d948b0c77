"""What a lesson asks, read from its texts.

A lesson's questions are in `texts/LANGUAGE/NAME.toml` and not in its notebook: who reads the notebook's code before the
answer would read the answers too, and a translator finds every sentence in one place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workbench.errors import WorkbenchError

TEXTS = Path(__file__).parent / "texts"
KINDS = ("choose", "number", "sketch")
INFINITE = float("inf")


@dataclass(frozen=True)
class Choice:
    """One of the answers of a `choose`.

    Attributes:
        key: Its name.
        text: What people read.
        low: Where what was measured lies if this is right: from here,
        high: to here. Not used where the choices themselves are what is measured.
        wrong: What is said to those who chose it and were wrong.
    """

    key: str
    text: str
    low: float = -INFINITE
    high: float = INFINITE
    wrong: str = ""


@dataclass(frozen=True)
class Mistake:
    """What is said to a wrong number or curve, where its condition holds.

    Attributes:
        when: "below", "above", "near" another quantity that was measured, or the shape of a curve: "straight",
            "wrong way", "below", "above".
        said: The answer.
        near: Name of the other quantity.
        times: Of "below" and "above": by how many times at least.
    """

    when: str
    said: str
    near: str = ""
    times: float = 1.0


@dataclass(frozen=True)
class Question:
    """One prediction.

    Attributes:
        key: Its name in the lesson.
        kind: "choose", "number" or "sketch".
        ask: The question.
        unit: Of numbers.
        right: What is said to those who were right.
        choices: Of a `choose`.
        best: Of a `choose` whose choices are measured: "largest" or "smallest".
        low: Least number that can be said.
        high: Largest.
        step: Between two numbers.
        slack: How far off a number still counts as right, beyond what the measurement leaves open.
        mistakes: What is said to wrong numbers and curves; the first that fits.
        xs: Of a sketch: where a value is asked for.
        x: Label of that axis.
        y: Label of the other.
    """

    key: str
    kind: str
    ask: str
    unit: str = ""
    right: str = ""
    choices: tuple[Choice, ...] = ()
    best: str = ""
    low: float = 0.0
    high: float = 100.0
    step: float = 1.0
    slack: float = 0.0
    mistakes: tuple[Mistake, ...] = ()
    xs: tuple[float, ...] = ()
    x: str = ""
    y: str = ""

    def takes(self, answer: Any) -> bool:
        """Return whether something is an answer to this question."""
        if self.kind == "choose":
            return any(answer == choice.key for choice in self.choices)
        if self.kind == "number":
            return self._fits(answer)
        return isinstance(answer, list | tuple) and len(answer) == len(self.xs) and all(map(self._fits, answer))

    def _fits(self, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def words(self, answer: Any) -> str:
        """Return an answer as people read it; "" for none."""
        if not self.takes(answer):
            return ""
        if self.kind == "choose":
            return next(choice.text for choice in self.choices if choice.key == answer)
        if self.kind == "number":
            return f"{answer:g} {self.unit}".strip()
        return ", ".join(f"{x:g}: {y:g}" for x, y in zip(self.xs, answer, strict=True)) + f" {self.unit}".rstrip()


@cache
def read_questions(name: str, language: str = "en") -> Mapping[str, Question]:
    """Return the questions of a lesson by their keys, in the order in which they are asked.

    Raises:
        WorkbenchError: There are no texts of such a lesson in this language, or they are not what they should be.
    """
    path = TEXTS / language / f"{name}.toml"
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkbenchError(f"there are no texts of a lesson {name!r} in {language!r}") from None
    return MappingProxyType({key: question(key, facts) for key, facts in read.items()})


@cache
def words(language: str = "en") -> Mapping[str, str]:
    """Return the words of widgets and notebooks in a language, by their names."""
    return MappingProxyType(tomllib.loads((TEXTS / language / "_words.toml").read_text(encoding="utf-8")))


def question(key: str, facts: Mapping[str, Any]) -> Question:
    """Return a question of plain facts.

    Raises:
        WorkbenchError: A fact is missing, unknown, or does not go with the others.
    """
    try:
        made = Question(
            key,
            **{
                **facts,
                "choices": tuple(Choice(**choice) for choice in facts.get("choices", ())),
                "mistakes": tuple(Mistake(**mistake) for mistake in facts.get("mistakes", ())),
                "xs": tuple(facts.get("xs", ())),
            },
        )
    except TypeError as error:
        raise WorkbenchError(f"the question {key!r} is incomplete: {error}") from None
    if made.kind not in KINDS:
        raise WorkbenchError(f"the question {key!r} is of no kind of {', '.join(KINDS)}")
    if (made.kind == "choose") != bool(made.choices) or (made.kind == "sketch") != bool(made.xs):
        raise WorkbenchError(f"the question {key!r} has not what a {made.kind} needs")
    return made
