"""The session: the one observable state that every view shows, and that runs as well without any."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.interrupt import interruptible
from workbench.jobs.jobs import Job, Jobs
from workbench.jobs.progress import Progress
from workbench.measure import Score
from workbench.measure.sequential import score
from workbench.model.subject import Subject
from workbench.session.curve import Curve
from workbench.session.live import Live
from workbench.session.preview import Preview
from workbench.session.record import Recorded, details, record
from workbench.session.saved import FORMAT, VERSION, SavedSession
from workbench.session.searching import SessionSearching
from workbench.session.settings import Settings
from workbench.steps.recipe import step_code
from workbench.steps.script import replay_script

LARGE_BYTES = 256 << 20  # of a model


class Session(SessionSearching):
    """A subject being compressed. Observe its traits; every one holds immutable plain values.

    Methods do their work before they return. `start` does the same on the session's worker thread, with
    progress and cancel, which is what a panel uses. An observer may call any method.

    Args:
        subject: What is compressed.
        settings: How it is measured.
        threaded: False does background work and previews on the caller's thread.
        autosave: Folder for the session's file and the scans' cache, None to keep nothing on disk.

    Raises:
        WorkbenchError: Validation samples are not the same when they are read twice, or the device is not there.
    """

    def __init__(
        self,
        subject: Subject,
        settings: Settings | None = None,
        *,
        threaded: bool = True,
        autosave: str | Path | None = ".workbench",
    ) -> None:
        super().__init__(subject, settings, autosave)
        self._curve, self._trained = Curve(), 0
        self._exported: dict[str, Any] = {}
        self._jobs = Jobs(threaded=threaded, changed=self._show_jobs, failed=self._show_failure)
        self._live = Live(self._show_preview, threaded=threaded)

    def export(
        self,
        folder: str | Path,
        formats: Iterable[str] = ("safetensors", "onnx", "pt2"),
        progress: Progress | None = None,
    ) -> Path:
        """Write the current state as a folder of verified files, and return the folder.

        Raises:
            WorkbenchError: A file cannot be made, or does not give the session's predictions when reloaded;
                then nothing is left behind.
        """
        from workbench.export import (
            check_folder,
            check_formats,
            export,
            verified_files,
        )  # the exporters are heavy and seldom needed

        progress, formats = progress or Progress(), tuple(formats)
        check_formats(formats)
        check_folder(Path(folder))  # known now, and not after minutes of measuring
        facts = record(self._recorded(progress.part(0.0, 0.5)))
        context = self._context(progress.part(0.5, 1.0))
        recipe = self.recipe
        written = export(Path(folder), self.state, recipe, facts, self.reference(), context, formats)
        self._exported = {"recipe": recipe.key, "folder": str(written), "verified": verified_files(written)}
        self.saved_to = str(written)
        return written

    def report(self, path: str | Path, progress: Progress | None = None) -> Path:
        """Write up the session as .html, .ipynb, .md or .pdf (by the ending), and return the file.

        Raises:
            WorkbenchError: The ending is not known, or a PDF is asked for and there is no Chromium.
        """
        from workbench.report import check_path, write_report  # nbconvert is heavy and seldom needed

        progress = progress or Progress()
        check_path(Path(path))
        written = write_report(Path(path), self.record(progress.part(0.0, 0.6)), progress.part(0.6, 1.0))
        self.saved_to = str(written)
        return written

    def record(self, progress: Progress | None = None) -> dict[str, Any]:
        """Return all that a report says of the current state, as plain JSON.

        What was not measured yet is measured, and the test split is scored.

        Raises:
            WorkbenchError: The state cannot be built or measured.
            Cancelled: It was told to stop.
        """
        progress = progress or Progress()
        of = self._recorded(progress.part(0.0, 0.9))
        progress.update(0.95, "layers and weights")
        return {
            **record(of),
            **details(of, self.state, self.table),
            "curve": [list(point) for point in self.curve],
            "exported": self._exported
            if self._exported.get("recipe") == of.history.recipe(of.settings.seed).key
            else {},
        }

    def code(self) -> str:
        """Return the Python that leads to the current state."""
        steps = [step_code(step) for step in self.recipe]
        return replay_script(self.subject.name, self.subject.source, self.settings.changed(), steps)

    def test_score(self, progress: Progress | None = None) -> Score | None:
        """Return the current state's exact score on the test split, None if the task has none.

        It is for what leaves the session: an export or a report. Nothing is to be chosen by it.
        """
        if not self.subject.task.has("test"):
            return None
        reference = self.reference("test", progress)
        if not self.recipe.steps:
            return reference.score
        return score(self._evaluator("test").prepare(self.state), reference, 0.0, progress)

    def start(self, title: str, work: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        """Do `work(*args, progress=...)` on the worker thread: `session.start("Scan", session.sensitivity, step)`."""
        self.error = self.notice = ""

        def do(progress: Progress) -> Any:
            with interruptible(progress) if self._large else nullcontext():
                return work(*args, progress=progress, **options)

        return self._jobs.submit(title, do, self._key(work, args, options))

    @property
    def _large(self) -> bool:
        """Whether one pass of the subject may take longer than people want to wait."""
        return sum(value.nbytes for value in self.subject.model.parameters()) > LARGE_BYTES

    def _key(self, work: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> object:
        """Return what equal work has in common, None for work that is not a method of the session."""
        key = (getattr(work, "__name__", ""), args, tuple(options.items()))
        try:
            hash(key)
        except TypeError:
            return None
        return key if getattr(work, "__self__", None) is self else None

    def cancel(self, number: int | None = None) -> None:
        """Stop running and waiting work, or one piece of it; `notice` then says what was dropped before it began."""
        stopped = self._jobs.cancel(number)
        waiting = [job.title for job in stopped if job.state == "waiting"]
        running = [job.title for job in stopped if job.state == "running"]
        words = [f"stopping: {', '.join(running)}"] if running else []
        words += [f"dropped before it began: {', '.join(waiting)}"] if waiting else []
        self.notice = "; ".join(words)

    def close(self) -> None:
        """Stop everything and end the worker threads."""
        self._live.close()
        self._jobs.close()
        self._baseline.close()

    def saved(self) -> tuple[Path, ...]:
        """Return files of earlier sessions on this subject, the newest first."""
        return self._autosave.earlier() if self._autosave else ()

    def restore(self, path: str | Path | None = None, progress: Progress | None = None) -> None:
        """Take over history and measurements of an earlier session, by default the newest.

        The state that it stood at is built before anybody is told of it. If that cannot be done, the session stands at
        the untouched subject with all of the history, and `error` says why. What was measured of another model, of
        other data or on another device is left out.

        Raises:
            WorkbenchError: There is none, or the file is damaged; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        source = Path(path) if path is not None else next(iter(self.saved()), None)
        if source is None:
            raise WorkbenchError("there is no earlier session on this subject")
        saved = SavedSession.load(source, self.settings.seed, self.subject.fingerprint, str(self.device))
        self._live.cancel()
        history, why = saved.history, ""
        try:
            self._states.of(history.recipe(saved.seed), progress or Progress())
        except Cancelled:
            raise
        except WorkbenchError as error:
            why = f"state {history.at} of {source} cannot be built, so the session stands at the subject: {error}"
            history = history.go(0)
        self.settings = replace(self.settings, seed=saved.seed)
        self._change(
            lambda _: history, measurements=dict(saved.measurements), table=None, labels=dict(saved.labels), compared=()
        )
        self.error = why

    def _recorded(self, progress: Progress) -> Recorded:
        self.measure(0, progress.part(0.0, 0.3, "baseline"))
        self.measure(progress=progress.part(0.3, 0.7, "current state"))
        test = self.test_score(progress.part(0.7, 1.0, "test split"))
        base = self.reference("test").score if test is not None else None
        return Recorded(
            self.subject, self.settings, self.history, self.measurements, test, base, self.state.model, self.labels
        )  # fmt: skip

    def _facts(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "subject": {"name": self.subject.name, "fingerprint": self.subject.fingerprint},
            "seed": self.settings.seed,
            "device": str(self.device),
            "history": self.history.facts(),
            "measurements": {number: measured.facts() for number, measured in self.measurements.items()},
            "labels": {number: label.facts() for number, label in self.labels.items()},
        }

    def _show_jobs(self, jobs: tuple[Job, ...]) -> None:
        self.jobs = jobs
        running = next((job for job in jobs if job.state == "running"), None)
        figures = running.tick.figures if running is not None else None
        if running is None or figures is None:
            return
        # The figures stay until others come: of another job, or of the next training of the same one.
        if running.number != self._trained or figures.at < self._curve.last:
            self._curve, self._trained = Curve(), running.number
        if self._curve.add(figures.at, figures.named()):
            self.curve = self._curve.points()

    def _show_failure(self, error: BaseException) -> None:
        if isinstance(error, WorkbenchError):
            self.error = str(error)
        else:
            self.error = "".join(traceback.format_exception(error))

    def _show_preview(self, preview: Preview | None) -> None:
        self.staged = preview
