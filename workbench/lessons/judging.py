"""Judging a prediction against what was measured, within the uncertainty of the measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import WorkbenchError
from workbench.lessons.measured import Measured
from workbench.lessons.questions import Choice, Mistake, Question

Word = Literal["right", "close", "wrong", "none"]
Truth = Measured | Mapping[str, Measured] | Sequence[Measured]
# Of a sketched curve: so many of its points have to be right for the whole, or for a good part of it.
MOST_POINTS, SOME_POINTS = 0.75, 0.5
# A line is straight if it nowhere leaves the chord by more than this part of its range; the other bends by more.
STRAIGHT, BENT = 0.12, 0.25
# Beyond the slack, up to so many times of it is close.
CLOSE = 3.0


@dataclass(frozen=True)
class Judgement:
    """What is said of a prediction.

    Attributes:
        word: "right", "close", "wrong", or "none" where nobody predicted.
        said: The answer to it, in its own words.
        truth: What was measured, for people; a line for each choice where the choices are what is measured.
        undecided: Whether the measurement leaves more than one answer open.
    """

    word: Word
    said: str
    truth: str
    undecided: bool = False


def judge(question: Question, answer: Any, truth: Truth, **others: Measured) -> Judgement:
    """Judge an answer.

    Args:
        question: What was asked.
        answer: Key of a choice, a number or a list of numbers; None for none.
        truth: What was measured; for each choice by its key where the choices are what is measured, for each x of a
            sketch in its order.
        others: Quantities that people take for the one that was asked for, measured too.

    Raises:
        WorkbenchError: What was measured does not go with the question.
    """
    if question.kind == "choose":
        return _choice(question, answer, truth)
    if question.kind == "number":
        return _number(question, answer, truth, others)
    return _sketch(question, answer, truth)


def _choice(question: Question, answer: Any, truth: Truth) -> Judgement:
    held = _held(question, truth)
    if isinstance(truth, Mapping):
        shown = "\n".join(f"{choice.text}: {truth[choice.key].text}" for choice in question.choices)
    else:
        shown = truth.text if isinstance(truth, Measured) else ""
    undecided = len(held) > 1
    if not question.takes(answer):
        return Judgement("none", question.right, shown, undecided)
    if any(choice.key == answer for choice in held):
        return Judgement("right", question.right, shown, undecided)
    chosen = next(choice for choice in question.choices if choice.key == answer)
    return Judgement("wrong", chosen.wrong or question.right, shown, undecided)


def _held(question: Question, truth: Truth) -> list[Choice]:
    """Return the choices that what was measured does not rule out."""
    if isinstance(truth, Measured):
        return [one for one in question.choices if truth.low <= one.high and truth.high >= one.low]
    if not isinstance(truth, Mapping) or set(truth) != {one.key for one in question.choices}:
        raise WorkbenchError(f"the question {question.key!r} needs a measurement for each of its choices")
    sign = -1 if question.best == "smallest" else 1
    best = max(truth.values(), key=lambda found: sign * found.value)
    return [one for one in question.choices if truth[one.key].low <= best.high and truth[one.key].high >= best.low]


def _number(question: Question, answer: Any, truth: Truth, others: Mapping[str, Measured]) -> Judgement:
    if not isinstance(truth, Measured):
        raise WorkbenchError(f"the question {question.key!r} needs one measurement")
    if not question.takes(answer):
        return Judgement("none", question.right, truth.text)
    off = max(truth.low - answer, answer - truth.high, 0.0)
    if off <= question.slack:
        return Judgement("right", question.right, truth.text)
    said = next((one.said for one in question.mistakes if _fits(one, answer, truth, others, question.slack)), "")
    return Judgement("close" if off <= CLOSE * question.slack else "wrong", said or question.right, truth.text)


def _fits(mistake: Mistake, answer: float, truth: Measured, others: Mapping[str, Measured], slack: float) -> bool:
    if mistake.when == "near":
        other = others.get(mistake.near)
        return other is not None and other.low - slack <= answer <= other.high + slack
    if mistake.when == "below":
        return answer * mistake.times <= truth.low
    return mistake.when == "above" and answer >= truth.high * mistake.times


def _sketch(question: Question, answer: Any, truth: Truth) -> Judgement:
    if isinstance(truth, Measured | Mapping) or len(truth) != len(question.xs):
        raise WorkbenchError(f"the question {question.key!r} needs a measurement for each of its x")
    shown = ", ".join(f"{x:g}: {found.text}" for x, found in zip(question.xs, truth, strict=True))
    if not question.takes(answer):
        return Judgement("none", question.right, shown)
    near = [one.low - question.slack <= y <= one.high + question.slack for y, one in zip(answer, truth, strict=True)]
    share = sum(near) / len(near)
    if share >= MOST_POINTS:
        return Judgement("right", question.right, shown)
    shapes = _shapes(answer, [found.value for found in truth], question.slack)
    said = next((one.said for one in question.mistakes if one.when in shapes), question.right)
    return Judgement("close" if share >= SOME_POINTS else "wrong", said, shown)


def _shapes(drawn: Sequence[float], found: Sequence[float], slack: float) -> set[str]:
    """Return in which ways a drawn curve differs from the one that was found."""
    rise, true_rise = drawn[-1] - drawn[0], found[-1] - found[0]
    shapes = {"above" if sum(drawn) > sum(found) else "below"}
    if rise * true_rise < 0 and min(abs(rise), abs(true_rise)) > slack:
        shapes.add("wrong way")
    if _bend(drawn) <= STRAIGHT and _bend(found) >= BENT:
        shapes.add("straight")
    return shapes


def _bend(values: Sequence[float]) -> float:
    """Return how far a curve leaves its chord, as a part of its range."""
    last, span = len(values) - 1, max(values) - min(values)
    if last < 1 or not span:
        return 0.0
    chord = [values[0] + (values[-1] - values[0]) * place / last for place in range(last + 1)]
    return max(abs(value - on) for value, on in zip(values, chord, strict=True)) / span
