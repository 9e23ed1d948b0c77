"""A question that is answered before the answer is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from uuid import uuid4

import anywidget
import traitlets
from IPython.display import display, update_display

from widgets.figure import STATIC, script
from widgets.lesson.emphasis import emphasised, plain
from workbench.lessons.judging import Judgement
from workbench.lessons.questions import Question
from workbench.lessons.submissions import ANSWER


class Prediction(anywidget.AnyWidget):
    """One question: answers to choose from, a number to set, or a curve to sketch.

    What is said stands in the notebook too, in an output of plain HTML that is seen where there is no kernel, and from
    which a teacher's tools read it.

    Args:
        question: What is asked.
        words: Of the widget, in the language of the lesson.
        answer: What was said before, None for nothing.
        keep: Called with what is said.
    """

    _esm = script("lesson_sketch.js", "lesson_prediction.js")
    _css = STATIC / "lesson.css"
    kind = traitlets.Unicode(help="choose, number or sketch.").tag(sync=True)
    facts = traitlets.Dict(help="The question, and nothing of its answer.").tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    answer = traitlets.Any(None, allow_none=True, help="What was said; None while nothing was.").tag(sync=True)
    judged = traitlets.Dict(help="What became of it: word, said, truth; empty before the reveal.").tag(sync=True)

    def __init__(
        self,
        question: Question,
        words: Mapping[str, str],
        answer: Any = None,
        keep: Callable[[Any], None] | None = None,
    ) -> None:
        self.question, self._keep, self._key = question, keep, uuid4().hex
        super().__init__(
            kind=question.kind,
            facts=_open_facts(question),
            words=dict(words),
            answer=answer if question.takes(answer) else None,
        )
        self._displayed = False
        self.on_msg(lambda _, message, __: self.receive(message))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take what a page sends: {"answer": what was said}, or {"answer": None} to think again before the reveal."""
        answer = message.get("answer")
        if self.judged or not (answer is None or self.question.takes(answer)):
            return
        self.answer = answer
        if self._keep is not None:
            self._keep(answer)
        self._refresh()

    def reveal(self, judgement: Judgement) -> None:
        """Show what became of the prediction; it cannot be changed any more."""
        self.judged = {"word": judgement.word, "said": judgement.said, "truth": judgement.truth}
        self._refresh()

    def show(self) -> None:
        """Put it into the running cell's output, with its plain form beside it."""
        display(self)
        self._displayed = True
        display(self._still(), raw=True, display_id=self._key)

    def _refresh(self) -> None:
        if self._displayed:
            update_display(self._still(), raw=True, display_id=self._key)

    def _still(self) -> dict[str, Any]:
        held = {"question": self.question.key, "answer": self.answer, "judged": self.judged.get("word", "")}
        return {
            "text/html": still(self.question, self.answer, self.words),
            "text/plain": self.question.ask,
            ANSWER: held,
        }


def _open_facts(question: Question) -> dict[str, Any]:
    """Return what a page may know before the reveal: no answers to wrong guesses, no bounds of right ones."""
    return {
        "key": question.key,
        "ask": plain(question.ask),
        "unit": question.unit,
        "choices": [{"key": choice.key, "text": plain(choice.text)} for choice in question.choices],
        "low": question.low,
        "high": question.high,
        "step": question.step,
        "xs": list(question.xs),
        "x": question.x,
        "y": question.y,
    }


def still(question: Question, answer: Any, words: Mapping[str, str]) -> str:
    """Return a question and its answer as HTML that needs neither script nor style."""
    listed = "".join(
        f"<li>{'<b>' if choice.key == answer else ''}{escape(choice.text)}{'</b>' if choice.key == answer else ''}</li>"
        for choice in question.choices
    )
    said = question.words(answer) or words["nothing"]
    return (
        f"<div class='wbl-still'><p><b>{escape(words['predict'])}:</b> {emphasised(question.ask)}</p>"
        f"{f'<ul>{listed}</ul>' if listed else ''}<p>{escape(words['you'])}: <b>{escape(said)}</b></p></div>"
    )
