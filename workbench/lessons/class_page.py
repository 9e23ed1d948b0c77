"""A class at a glance, as one HTML page: who is how far, where the class guessed wrong, which tests stopped it.

The page asks the network for nothing, and says by signs and words what it says by colour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.lessons.course import LESSONS
from workbench.lessons.grading import Grade
from workbench.lessons.questions import read_questions

STYLE = Path(__file__).with_name("class_page.css")
SIGNS = {"right": "✓", "close": "≈", "wrong": "✗", "": "·"}
WORDS = {"right": "right", "close": "close", "wrong": "not so", "": "no answer yet"}
MOST_SAID = 3


@dataclass(frozen=True)
class Asked:
    """A question, and what a class made of it.

    Attributes:
        lesson: Name of the lesson.
        key: Of the question.
        counts: How many were right, close, wrong, and said nothing (""); of code how many solved it or not.
        said: The most frequent wrong answers, or what tests said, and how often.
    """

    lesson: str
    key: str
    counts: Mapping[str, int]
    said: tuple[tuple[str, int], ...]

    @property
    def wrong(self) -> float:
        """Part of those who answered that was wrong."""
        answered = sum(number for word, number in self.counts.items() if word)
        return self.counts.get("wrong", 0) / answered if answered else 0.0


def asked(grades: Iterable[Grade], kind: str) -> list[Asked]:
    """Return the questions of a kind, "prediction" or "code", those first that most learners got wrong."""
    held: dict[tuple[str, str], list[Grade]] = {}
    for one in grades:
        if one.kind == kind:
            held.setdefault((one.lesson, one.question), []).append(one)
    made = []
    for (lesson, key), its in held.items():
        words = [_word(one) for one in its]
        said = Counter(one.said for one, word in zip(its, words, strict=True) if word == "wrong")
        made.append(Asked(lesson, key, Counter(words), tuple(said.most_common(MOST_SAID))))
    return sorted(made, key=lambda one: (-one.counts.get("wrong", 0), -one.wrong, one.lesson, one.key))


def class_page(grades: Sequence[Grade]) -> str:
    """Return the page of a class's grades."""
    learners = sorted({one.learner for one in grades})
    taken = {one.lesson for one in grades}
    lessons = [one for one in LESSONS if one.name in taken]
    left = [one for one in grades if one.kind == "notebook"]
    notes = "".join(f"<li><b>{escape(one.learner)}</b>: {escape(one.said)}</li>" for one in left)
    heads = "".join(
        f"<th scope='col' title='{escape(one.title)}'>{one.number}. {escape(one.title)}</th>" for one in lessons
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(who)}</th>{_total(grades, who)}"
        f"{''.join(_cell(grades, who, one.name) for one in lessons)}</tr>"
        for who in learners
    )
    legend = ", ".join(f"<span class='{word or 'none'}'>{SIGNS[word]}</span> {WORDS[word]}" for word in SIGNS)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>The class at a glance</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main><h1>The class at a glance</h1><p>{len(learners)} learners, {len(lessons)} lessons. A cell has "
        f"the points of code, and below them a sign for each prediction: {legend}. Predictions have no points.</p>"
        "<div class='wide' tabindex='0' role='region' aria-label='learners and lessons'><table class='class'>"
        f"<thead><tr><th scope='col'>learner</th><th scope='col'>all</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        f"{_section('Where the class guessed wrong', asked(grades, 'prediction'), 'said most often')}"
        f"{_section('What stopped the class in code', asked(grades, 'code'), 'what the test said')}"
        f"{f'<h2>Not graded, or not counted</h2><ul>{notes}</ul>' if notes else ''}</main></body></html>"
    )


def write_page(path: Path, grades: Sequence[Grade]) -> None:
    """Write the page of a class.

    Raises:
        WorkbenchError: The file cannot be written.
    """
    try:
        path.write_text(class_page(grades), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be written: {error.strerror}") from None


def _word(one: Grade) -> str:
    if one.kind == "code":
        untouched = one.said in ("nothing was written yet", "the cell is not there any more")
        return "right" if one.points == one.of else "" if untouched else "wrong"
    return one.judged


def _cell(grades: Sequence[Grade], who: str, lesson: str) -> str:
    own = [one for one in grades if one.learner == who and one.lesson == lesson]
    code = [one for one in own if one.kind == "code"]
    if not code:
        return "<td class='empty'>–</td>"
    reached, most = sum(one.points for one in code), sum(one.of for one in code)
    signs = "".join(_sign(one) for one in own if one.kind == "prediction")
    part = round(100 * reached / most) if most else 0
    points = f"<div class='points' style='--part: {part}%'>{reached} of {most}</div>"
    return f"<td>{points}<div class='signs'>{signs}</div></td>"


def _sign(one: Grade) -> str:
    told = f"{one.question}: {WORDS[one.judged]}{f', said {one.said}' if one.said else ''}"
    return f"<span class='{one.judged or 'none'}' title='{escape(told)}'>{SIGNS[one.judged]}</span>"


def _total(grades: Sequence[Grade], who: str) -> str:
    code = [one for one in grades if one.learner == who and one.kind == "code"]
    return f"<td class='total'>{sum(one.points for one in code)} of {sum(one.of for one in code)}</td>"


def _section(title: str, found: Sequence[Asked], head: str) -> str:
    rows = "".join(_question(one) for one in found if one.counts.get("wrong"))
    if not rows:
        return f"<h2>{title}</h2><p>Nowhere so far.</p>"
    return (
        f"<h2>{title}</h2><table class='asked'><thead><tr><th scope='col'>lesson</th><th scope='col'>question</th>"
        f"<th scope='col'>the class</th><th scope='col'>{head}</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _question(one: Asked) -> str:
    lesson = next(known for known in LESSONS if known.name == one.lesson)
    question = read_questions(lesson.key).get(one.key)
    ask = escape(question.ask) if question is not None else f"<code>{escape(one.key)}</code>"
    total = sum(one.counts.values())
    bars = "".join(
        f"<i class='{word or 'none'}' style='width: {100 * one.counts[word] / total:.1f}%'></i>"
        for word in SIGNS
        if one.counts.get(word)
    )
    told = ", ".join(f"{one.counts[word]} {WORDS[word]}" for word in SIGNS if one.counts.get(word))
    said = "".join(f"<li>{escape(text)}{f' ({number} ×)' if number > 1 else ''}</li>" for text, number in one.said)
    return (
        f"<tr><td>{lesson.number}</td><td>{ask}</td><td class='bar'><div class='bars' aria-hidden='true'>{bars}"
        f"</div>{told}</td><td><ul>{said}</ul></td></tr>"
    )
