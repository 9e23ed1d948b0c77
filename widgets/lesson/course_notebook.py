"""What a lesson's notebook talks to: it asks, reveals and shows tools."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W
from bokeh.plotting import figure as BokehFigure  # the class is spelt like a function
from IPython.display import HTML, display

from widgets.figure import STATIC, BokehJS
from widgets.lesson.answers import FOLDER, Answers
from widgets.lesson.emphasis import emphasised
from widgets.lesson.kept_figure import KeptFigure
from widgets.lesson.prediction import Prediction
from widgets.lesson.short_errors import shorten_errors
from widgets.lesson_link import LessonLink
from workbench.charts.predicted import drawn_curve, number_line
from workbench.errors import WorkbenchError
from workbench.lessons import Judgement, Measured, judge, lesson, read_questions
from workbench.lessons.judging import Truth
from workbench.lessons.questions import Question, words
from workbench.lessons.submissions import RECIPE
from workbench.steps import KINDS
from workbench.steps.recipe import Recipe

CHIPS = {"right": "✓", "close": "≈", "wrong": "✗", "none": "–"}


class CourseNotebook:
    """One lesson in one notebook. Making it puts the lesson's head into the running cell's output.

    Args:
        name: Of the lesson, such as "pruning".
        language: Of its texts.
        folder: Where predictions are kept.
    """

    def __init__(self, name: str, language: str = "en", folder: str | Path = FOLDER) -> None:
        self.lesson = lesson(name)
        self._questions = read_questions(self.lesson.key, language)
        self.words = words(language)
        self._answers = Answers(self.lesson.name, Path(folder))
        self._asked: dict[str, Prediction] = {}
        shorten_errors(self.words["not_written"])
        display(BokehJS())
        display(_style())
        display(HTML(self._head()))
        display(LessonLink(self.words["open_panel"], None))

    def predict(self, key: str) -> None:
        """Ask a question of the lesson; what was said to it in an earlier run stands there again.

        Raises:
            WorkbenchError: The lesson has no such question.
        """
        question = self._question(key)

        def keep(answer: Any) -> None:
            self._answers.keep(key, answer)

        self._asked[key] = Prediction(question, self.words, self._answers.get(key), keep)
        self._asked[key].show()

    def reveal(self, key: str, truth: Truth, **others: Measured) -> None:
        """Judge what was said to a question against what was measured, and show both; arguments as those of `judge`.

        Raises:
            WorkbenchError: The lesson has no such question, or what was measured does not go with it.
        """
        question = self._question(key)
        answer = self._asked[key].answer if key in self._asked else self._answers.get(key)
        judgement = judge(question, answer, truth, **others)
        if key in self._asked:
            self._asked[key].reveal(judgement)
        display(HTML(revealed(question, answer, judgement, self.words)))
        figure = self._compared(question, answer, truth)
        if figure is not None:
            self.figure(figure, f"{self.words['you']}, {self.words['measured']}")

    def hand_in(self, recipe: Recipe) -> None:
        """Put a recipe into the running cell's output, from which the class's table is made: steps, and no number."""
        lines = "".join(f"<li><code>{escape(line)}</code></li>" for line in recipe.code().splitlines())
        told = f"<div class='wbl-still'><p><b>{escape(self.words['handed_in'])}</b></p><ol>{lines}</ol></div>"
        display({"text/html": told, "text/plain": recipe.code(), RECIPE: recipe.facts()}, raw=True)

    def figure(self, figure: BokehFigure, label: str = "") -> None:
        """Show a Bokeh figure, which the notebook's file does not grow by."""
        KeptFigure(figure, label).show()

    def show(self, tool: W.Widget) -> None:
        """Show a tool, with its plain form beside it where it has one."""
        display(tool)
        if hasattr(tool, "still"):
            display(HTML(f"<div class='wbl-still'>{tool.still()}</div>"))

    def _question(self, key: str) -> Question:
        if key not in self._questions:
            raise WorkbenchError(f"{self.lesson.name} asks no {key!r}; it asks {', '.join(self._questions)}")
        return self._questions[key]

    def _head(self) -> str:
        """Return what the lesson is, and where its methods are in the panel."""
        about = escape(self.words["lesson"].format(number=self.lesson.number, minutes=self.lesson.minutes))
        steps = [KINDS[kind] for kind in self.lesson.kinds]
        named = ", ".join(f"{escape(step.shelf)} › <b>{escape(step.title)}</b>" for step in steps)
        panel = f"<p>{escape(self.words['in_panel'])}: {named}</p>" if steps else ""
        return f"<div class='wbl-head'><p>{about}. {escape(self.words['running'])}</p>{panel}</div>"

    def _compared(self, question: Question, answer: Any, truth: Truth) -> BokehFigure | None:
        said = answer if question.takes(answer) else None
        if question.kind == "number" and isinstance(truth, Measured):
            names = self.words["your_guess"], self.words["measured"]
            return number_line(said, truth.value, (truth.low, truth.high), question.unit, names)
        if question.kind == "sketch" and isinstance(truth, Sequence):
            names = self.words["your_curve"], self.words["measured"]
            found = [one.value for one in truth], [(one.low, one.high) for one in truth]
            return drawn_curve(question.xs, said, *found, (question.x, question.y), names)
        return None


def _style() -> HTML:
    return HTML(f"<style>{(STATIC / 'lesson.css').read_text(encoding='utf-8')}</style>")


def revealed(question: Question, answer: Any, judgement: Judgement, words: dict[str, str]) -> str:
    """Return what became of a prediction as HTML that is readable without its style."""
    said = question.words(answer) or words["nothing"]
    lines = [words["none_said"]] if judgement.word == "none" else []
    lines += [judgement.said, words["undecided"] if judgement.undecided else ""]
    told = "".join(f"<p class='wbl-why'>{emphasised(line)}</p>" for line in lines if line)
    you, measured = (escape(words[name]) for name in ("you", "measured"))
    truth = escape(judgement.truth)
    if question.kind == "sketch":  # the figure says it; this is for where there is none
        pair = f"<details><summary>{you}, {measured}</summary>{escape(said)}<br>{truth}</details>"
    else:
        pair = f"<dl><dt>{you}</dt><dd>{escape(said)}</dd><dt>{measured}</dt><dd class='wbl-truth'>{truth}</dd></dl>"
    return (
        f"<div class='wbl-reveal wbl-{judgement.word}' role='status'>"
        f"<p class='wbl-chip'><b>{CHIPS[judgement.word]} {escape(words[judgement.word])}</b></p>"
        f"{pair}{told}</div>"
    )
