"""What is being done: progress, time left, cancel, and what went wrong."""

from __future__ import annotations

from html import escape
from threading import RLock

import ipywidgets as W

from widgets import theme
from widgets.view import View
from workbench import formatting
from workbench.session.session import Session


class Work(View):
    """One strip of constant height, so that nothing moves under the hand: what runs, what failed, what was written."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.bar = W.FloatProgress(min=0.0, max=1.0, layout={"width": "240px", "flex": "none"})
        self.text = W.HTML()
        self.text.add_class("wb-doing")
        self.cancel = W.Button(description="Cancel", icon="stop", layout={"width": "auto"})
        self.cancel.on_click(self.act(self.session.cancel))
        self.busy = W.HBox([self.bar, self.cancel, self.text], layout={"align_items": "center"})
        self.error = W.HTML()
        self.dismiss = W.Button(description="Dismiss", layout={"width": "auto"})
        self.dismiss.on_click(self.act(self._dismiss))
        self.strip = W.HBox([self.error, self.dismiss], layout={"flex": "1 1 0", "min_width": "0"})
        self.saved = W.HTML()
        self.root = W.HBox([self.busy, self.strip, self.saved])
        self.root.add_class("wb-work")
        self.watch(self._show_jobs, "jobs")
        self.watch(self._show_error, "error")
        self.watch(self._show_saved, "saved_to")

    def _show_jobs(self) -> None:
        active = [job for job in self.session.jobs if job.active]
        self.busy.layout.display = "" if active else "none"
        running = next((job for job in active if job.state == "running"), active[0] if active else None)
        if running is None:
            return
        self.bar.value = running.tick.done
        left = f" about {formatting.seconds(running.tick.seconds_left)} left," if running.tick.seconds_left else ""
        more = f" ({len(active) - 1} waiting)" if len(active) > 1 else ""
        self.text.value = f"<b>{escape(running.title)}</b>{more}{left} {escape(running.tick.message)}"

    def _show_error(self) -> None:
        self.error.value = theme.note(self.session.error, "error")
        self.strip.layout.display = "" if self.session.error else "none"

    def _dismiss(self) -> None:
        self.session.error = ""

    def _show_saved(self) -> None:
        text = f"written and verified: {self.session.saved_to}" if self.session.saved_to else ""
        self.saved.value = theme.note(text, "done")
