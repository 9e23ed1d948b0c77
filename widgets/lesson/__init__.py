"""The course's widgets: predictions and what became of them, and figures that are tools."""

from widgets.lesson.course_notebook import CourseNotebook
from widgets.lesson.prediction import Prediction

__all__ = ["CourseNotebook", "Prediction"]
