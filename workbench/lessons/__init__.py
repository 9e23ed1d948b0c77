"""The course, as far as it needs no widgets: questions, judging what people predict and write, grading."""

from workbench.lessons.course import LESSONS, Lesson, lesson, lesson_of
from workbench.lessons.judging import Judgement, judge
from workbench.lessons.measured import Measured, counted, fewer_seconds, points, points_lost, repeated, times_faster
from workbench.lessons.questions import Question, read_questions
from workbench.lessons.telling import expect
from workbench.lessons.trying import score_weights

__all__ = [
    "LESSONS",
    "Judgement",
    "Lesson",
    "Measured",
    "Question",
    "counted",
    "expect",
    "fewer_seconds",
    "judge",
    "lesson",
    "lesson_of",
    "points",
    "points_lost",
    "read_questions",
    "repeated",
    "score_weights",
    "times_faster",
]
