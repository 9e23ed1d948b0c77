"""Recovery: curves of a step that trains, while it does and until the next one."""

from __future__ import annotations

import time
from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.view import View
from workbench import formatting
from workbench.charts import training_chart
from workbench.session.session import Session

# A page draws a figure in a tenth of a second.
SECONDS = 0.3
INVITATION = (
    "Nothing was trained yet. Choose a step on the shelf Recover, such as Fine-tune, and apply it: its loss and its "
    "validation score are drawn here while it trains, and the best epoch is kept."
)


class Training(View):
    """Loss and validation score of the running or last training step."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.charts = {name: training_chart(name) for name in ("score", "loss")}
        self.figures = {
            name: Figure(chart.figure, lock, f"{name} while training") for name, chart in self.charts.items()
        }
        self.words = W.HTML()
        self.cancel = W.Button(
            description="Stop training", icon="stop", layout={"width": "auto"},
            tooltip="Nothing is applied; the same step goes on after its last whole epoch when it is applied again",
        )  # fmt: skip
        self.cancel.on_click(self.act(self.session.cancel))
        head = W.HBox([self.cancel, self.words], layout={"align_items": "center"})
        self.root = W.VBox([head, *self.figures.values()])
        self._drawn, self._at = (0, False), 0.0
        self.watch(self._show, "curve", "jobs")

    def _show(self) -> None:
        curve, metric = self.session.curve, self.session.subject.task.metric
        for name, figure in self.figures.items():
            figure.layout.display = "" if any(news[1] == name for news in curve) else "none"
        running = next((job for job in self.session.jobs if job.state == "running"), None)
        live = running is not None and running.tick.figures is not None
        self.cancel.layout.display = "" if live else "none"
        # What was drawn last is drawn in any case, and a page has time for a few in between.
        now = time.monotonic()
        if (len(curve), live) == self._drawn or (live and curve and now - self._at < SECONDS):
            return
        self._drawn, self._at = (len(curve), live), now
        if not metric.higher_is_better:  # what picks epochs is turned round there
            curve = tuple((done, name, -value if name == "score" else value) for done, name, value in curve)
        scores = [value for _, name, value in curve if name == "score"]
        best = (max if metric.higher_is_better else min)(scores, default=None)
        self.words.value = _words(bool(curve), live, len(scores), best, metric.unit)
        with self.figures["loss"].update():
            self.charts["loss"].show(curve)
        base = self.session.measurements.get(0)
        with self.figures["score"].update():
            level = base.score.value if base else None
            self.charts["score"].show(curve, metric.unit, level, True, metric.higher_is_better)


def _words(any_yet: bool, live: bool, epochs: int, best: float | None, unit: str) -> str:
    if not any_yet:
        return f"<p class='wb-help'>{INVITATION}</p>"
    if not epochs:
        return "<p class='wb-help'>The validation score comes after the first epoch.</p>"
    best_note = (
        f"; the best one, which is kept: {formatting.score_value(best, unit)} (the star)" if best is not None else ""
    )
    done = f"{epochs} epoch{'' if epochs == 1 else 's'} scored, on at most 1,000 validation samples{best_note}."
    level = " Dashed: the untouched subject, on all samples." if best is not None else ""
    return f"<p class='wb-help'>{'Training: ' if live else 'The last training: '}{done}{level}</p>"
