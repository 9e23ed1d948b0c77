"""What is being done: progress, time left, what waits, cancel; and what went wrong or was written."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import Any

import anywidget
import torch
import traitlets

from widgets.figure import script
from widgets.view import View
from workbench.search.trials.cluster import executor_words
from workbench.session.session import Session
from workbench.task.device import device_names, device_words


class WorkLine(anywidget.AnyWidget):
    """A line of work and its messages in the page."""

    _esm = script("part.js", "work.js")
    idle = traitlets.Unicode(help="What is said while nothing runs.").tag(sync=True)
    link = traitlets.Unicode(help="Address of the workers' dashboard, '' for none.").tag(sync=True)
    running = traitlets.Dict(help="title, message, done and seconds of what runs; {} for nothing.").tag(sync=True)
    waiting: traitlets.List[dict[str, Any]] = traitlets.List(help="number and title of what waits.").tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    done = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)


class Work(View):
    """One line of constant height, so that nothing moves under the hand."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        threads = torch.get_num_threads()
        words = "1 thread" if threads == 1 else f"{threads} threads"
        # Where there are several devices a menu beside it names the one.
        where = f"{device_words(session.device)}, " if len(device_names()) == 1 else ""
        self._here = f"{where}{words}"
        self.root = WorkLine()
        self.root.on_msg(lambda _, message, __: self.receive(message))
        self.watch(self._show_workers, "executor")
        self.watch(self._show_jobs, "jobs")
        self.watch(self._show_messages, "error", "saved_to", "notice")

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {"cancel": number of a job, -1 for all} or {"dismiss": "error"}."""
        if isinstance(number := message.get("cancel"), int):
            self.session.cancel(None if number < 0 else number)
        gone = message.get("dismiss")
        if gone == "error":
            self.session.error = ""
        elif gone in ("done", "note"):  # what was written stays known, it is only no news any more
            with self.lock:
                self.root.set_trait(gone, "")

    def _show_workers(self) -> None:
        workers, self.root.link = executor_words(self.session.executor)
        self.root.idle = f"{self._here}, {workers}" if workers else self._here

    def _show_jobs(self) -> None:
        active = [job for job in self.session.jobs if job.active]
        running = next((job for job in active if job.state == "running"), active[0] if active else None)
        self.root.waiting = [{"number": job.number, "title": job.title} for job in active if job is not running]
        if running is None:
            self.root.running = {}
            return
        tick = running.tick
        self.root.running = {
            "title": running.title, "message": tick.message, "done": round(tick.done, 3), "seconds": tick.seconds_left,
        }  # fmt: skip

    def _show_messages(self) -> None:
        self.root.error = self.session.error
        self.root.done = f"written and verified: {self.session.saved_to}" if self.session.saved_to else ""
        self.root.note = self.session.notice
