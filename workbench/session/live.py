"""Previews while a hand moves: on one worker thread, the latest request wins."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.session.preview import EvaluationContext, Preview, stages
from workbench.steps import Step


class Live:
    """Previews on one worker thread; a newer request ends an older one at its next batch.

    Args:
        publish: Called with every preview, one at a time; None is published when a preview is taken back. No lock is
            held meanwhile, so it may ask for another preview, or wait for another thread that does.
        threaded: False runs requests on the caller's thread, for tests and headless notebooks.
    """

    def __init__(self, publish: Callable[[Preview | None], None], *, threaded: bool = True) -> None:
        self._publish, self._threaded = publish, threaded
        self._generation = 0
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: tuple[int, Step, EvaluationContext] | None = None
        self._running = False
        self._outgoing: deque[tuple[int, Preview | None]] = deque()
        self._publishing = False

    def request(self, step: Step, context: EvaluationContext) -> None:
        """Show what `step` would do, instead of whatever was asked before."""
        with self._lock:
            self._generation += 1
            self._waiting = (self._generation, step, context)
            if self._running:
                return
            self._running = True
            if self._threaded and self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="workbench-live")
        if self._pool is not None:
            self._pool.submit(self._work)
        else:
            self._work()

    def hold(self) -> None:
        """Stop, and leave the preview as it is shown."""
        with self._lock:
            self._generation += 1
            self._waiting = None

    def cancel(self) -> None:
        """Stop, and take the preview back."""
        with self._lock:
            self._generation += 1
            self._waiting = None
            self._outgoing.append((self._generation, None))
        self._publish_outgoing()

    def close(self) -> None:
        """Stop, and end the worker thread."""
        with self._lock:
            self._generation += 1
            self._waiting = None
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def _work(self) -> None:
        try:
            self._work_off()
        except BaseException:  # an interruption from the keyboard, where requests run on the caller's thread
            with self._lock:
                self._running = False
            raise

    def _work_off(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._running = False
                    return
                generation, step, context = self._waiting
                self._waiting = None
            self._show(generation, step, context)

    def _show(self, generation: int, step: Step, evaluation: EvaluationContext) -> None:
        progress = Progress(None, lambda: generation != self._generation)
        evaluation = replace(evaluation, context=replace(evaluation.context, progress=progress))
        try:
            for preview in stages(step, evaluation):
                if not self._offer(generation, preview):
                    return
        except Cancelled:
            return
        except WorkbenchError as error:
            self._offer(generation, Preview(step, error=str(error), done=True))
        except Exception:  # a defect is shown with its traceback, and the panel stays usable
            self._offer(generation, Preview(step, error=traceback.format_exc(), done=True))

    def _offer(self, generation: int, preview: Preview) -> bool:
        with self._lock:
            if generation != self._generation:
                return False
            self._outgoing.append((generation, preview))
        self._publish_outgoing()
        return True

    def _publish_outgoing(self) -> None:
        """Publish what waits, in order, unless another call is at it, which then publishes this too.

        So nothing older is published after a newer request was taken, though no lock is held while others are called.
        """
        while True:
            with self._lock:
                if self._publishing or not self._outgoing:
                    return
                generation, preview = self._outgoing.popleft()
                if generation != self._generation:
                    continue
                self._publishing = True
            try:
                self._publish(preview)
            except Exception:  # a listener's defect; later previews must still be shown to the others
                logging.getLogger(__name__).exception("showing a preview failed")
            finally:
                with self._lock:
                    self._publishing = False
