"""Curves of a step that trains, while it does."""

from __future__ import annotations

from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import training_chart
from workbench.session import Session

MOST_POINTS = 200


class Training(View):
    """Loss and validation score of the running or last training step."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.charts = {name: training_chart(name) for name in ("loss", "score")}
        self.figures = {
            name: Figure(chart.figure, lock, f"{name} while training") for name, chart in self.charts.items()
        }
        self.empty = W.HTML("<p class='wb-help'>Nothing was trained yet. Fine-tune shows its curves here.</p>")
        self.root = W.VBox([self.empty, *self.figures.values()])
        self._shown = 0
        self.watch(self._show, "curve", "jobs")

    def _show(self) -> None:
        curve = self.session.curve
        for figure in self.figures.values():
            figure.layout.display = "" if curve else "none"
        self.empty.layout.display = "none" if curve else ""
        running = any(job.active for job in self.session.jobs)
        # A page cannot draw every batch; the last state is drawn in any case.
        if not curve or (running and 0 < len(curve) - self._shown < max(len(curve) // MOST_POINTS, 10)):
            return
        self._shown = len(curve)
        for name, chart in self.charts.items():
            points = [news for news in curve if news[1] == name]
            thin = points[:: max(len(points) // MOST_POINTS, 1)]
            with self.figures[name].update():
                chart.show(thin)
