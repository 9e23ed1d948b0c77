"""Work handed to any `concurrent.futures.Executor`, as much at a time as it has workers.

Workers may be other processes or machines. What all work stands on reaches each of them once (`parcel`). A worker that
is lost costs the work that it was at; where the whole executor breaks, work goes on in this process. Work that nobody
waits for any more is stopped, wherever workers can see this machine's files; on others it goes on to its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from workbench.errors import Cancelled, WorkbenchError, first_line
from workbench.jobs.progress import Progress
from workbench.search.trials.parcel import Outbox, Parcel, has, opened, pack, receive, unpack
from workbench.search.trials.trial import TrialContext
from workbench.steps import State
from workbench.task.device import CPU

POLL_SECONDS = 0.2
COUNTED_SECONDS = 5.0  # between two looks at how many workers there are


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Attributes:
        do: A function of a module; called with the context of the state, then with `args`.
        args: What can be pickled.
        base: Which shared state it is done on, "" for the one that the search began at.
        tag: Whatever the one who gave it wants to know again; it stays here.
    """

    do: Callable[..., Any]
    args: tuple[Any, ...] = ()
    base: str = ""
    tag: Any = None


@dataclass(frozen=True)
class Lost:
    """What comes back of work that was lost with its worker."""

    reason: str


class Workers:
    """Does work as it comes, in this process or elsewhere.

    Args:
        root: What work is done on, with the state that the search began at.
        executor: Who does it, None for the calling thread.
        most: Pieces of work that are under way at a time, None for as many as there are workers.
        train: Whether work needs the train data.
    """

    def __init__(
        self, root: TrialContext, executor: Executor | None = None, *, most: int | None = None, train: bool = True
    ) -> None:
        self._root, self._executor, self._most, self._train = root, executor, most, train
        self._states: dict[str, State] = {}
        self._outbox, self._parcels = Outbox(), dict[str, Parcel]()
        self._counted = time.monotonic()
        self.broken = ""
        try:
            self.width = most or width_of(executor)
        except Exception as error:  # of a cluster that is not there any more
            self.width = 1
            self._broke(error)

    def share(self, name: str, state: State) -> None:
        """Make a state one that work can be done on, under a name."""
        self._states[name] = state

    def results(self, ask: Callable[[], Work | None], progress: Progress) -> Generator[tuple[Work, Any], None, None]:
        """Yield pieces of work with what came of them, a `Lost` where a worker was lost, until there is none.

        Args:
            ask: Gives the next piece, None while there is none; asked again whenever something came back.
            progress: Asked whether to stop.

        Raises:
            WorkbenchError: What work is done on cannot be sent, or work refused it.
            Cancelled: It was told to stop.
        """
        under_way: dict[Future[Any], Work] = {}
        ended: SimpleQueue[Future[Any]] = SimpleQueue()
        try:
            while True:
                progress.check()
                self._count()
                while len(under_way) < self.width and (work := ask()) is not None:
                    yield from self._begin(work, under_way, ended)
                    progress.check()
                if not under_way:
                    return
                try:
                    future = ended.get(timeout=POLL_SECONDS)
                except Empty:
                    continue
                yield from self._end(future, under_way, ended)
        finally:
            for future in under_way:
                future.cancel()
            self._parcels.clear()
            self._outbox.close()

    def _count(self) -> None:
        """Look from time to time how many workers there are: clusters grow and shrink."""
        now = time.monotonic()
        if self._most is None and now - self._counted > COUNTED_SECONDS:
            self._counted = now
            with suppress(Exception):  # a scheduler that does not answer now; its workers may go on
                self.width = width_of(self._executor)

    def _begin(
        self, work: Work, under_way: dict[Future[Any], Work], ended: SimpleQueue[Future[Any]], sent: bool = False
    ) -> Iterator[tuple[Work, Any]]:
        """Hand work over; yield what came of it where there is nobody to hand it to."""
        if self._executor is not None:
            parcels = {name: self._parcel(name) for name in dict.fromkeys(("", work.base))}
            data = {name: self._outbox.data(parcel) for name, parcel in parcels.items()} if sent else {}
            try:
                future = self._executor.submit(elsewhere, parcels, data, work.base, work.do, work.args)
            except Exception as error:  # what is broken, or was shut down by somebody
                self._broke(error)
            else:
                under_way[future] = work
                future.add_done_callback(ended.put)
                return
        yield work, work.do(self._context(work.base), *work.args)

    def _end(
        self, future: Future[Any], under_way: dict[Future[Any], Work], ended: SimpleQueue[Future[Any]]
    ) -> Iterator[tuple[Work, Any]]:
        work = under_way.pop(future)
        try:
            known, result = future.result()
        except (WorkbenchError, Cancelled):
            raise
        except Exception as error:  # a worker fails in as many ways as there are executors
            if isinstance(error, BrokenExecutor):
                self._broke(error)
            yield work, Lost(f"its worker failed: {first_line(error)}")
            return
        if known:
            yield work, result
        else:
            yield from self._begin(work, under_way, ended, sent=True)

    def _broke(self, error: BaseException) -> None:
        self.broken = f"the executor broke ({first_line(error)}), so the search went on in its own process"
        self._executor, self.width = None, 1

    def _context(self, base: str) -> TrialContext:
        return replace(self._root, state=self._states[base]) if base else self._root

    def _parcel(self, name: str) -> Parcel:
        """Return the parcel of a shared state, made and delivered once."""
        if name not in self._parcels:
            content = self._states[name].on(CPU) if name else pack(self._root, self.width, self._train)
            self._parcels[name] = self._outbox.put(content)
            self._deliver(self._parcels[name])
        return self._parcels[name]

    def _deliver(self, parcel: Parcel) -> None:
        """Give a parcel to Dask's workers that cannot open its file; those of other executors ask for it."""
        client = getattr(self._executor, "_client", None)
        if client is None or getattr(client, "asynchronous", False):
            return
        try:
            missing = [address for address, there in client.run(has, parcel).items() if not there]
            if missing:
                client.run(receive, parcel, self._outbox.data(parcel), workers=missing)
        except Exception:  # noqa: S110  # a worker that is lost just now; whoever has no parcel asks for it
            pass


def width_of(executor: Executor | None) -> int:
    """Return how many pieces of work an executor does at a time, 1 without one; as many as cores if it does not say."""
    if executor is None:
        return 1
    client = getattr(executor, "_client", None)  # of Dask, whose workers may be anywhere
    if client is not None:
        return max(int(sum(client.nthreads().values())), 1)
    return max(int(getattr(executor, "_max_workers", 0) or os.cpu_count() or 1), 1)


def elsewhere(
    parcels: Mapping[str, Parcel], data: Mapping[str, bytes], base: str, do: Callable[..., Any], args: tuple[Any, ...]
) -> tuple[bool, Any]:
    """Do a piece of work on a worker; (False, None) if it has not got what the work is done on."""
    for name, parcel in parcels.items():
        if not has(parcel):
            if name not in data:
                return False, None
            receive(parcel, data[name])
    root: TrialContext = opened(parcels[""], unpack)
    state = opened(parcels[base], lambda state: state.on(root.context.subject.device)) if base else root.state
    # Whoever waits for this takes the file away when he no longer does.
    file = Path(parcels[""].path)
    gone = (lambda: not file.exists()) if parcels[""].at_hand else None
    context = replace(root.context, progress=Progress(None, gone))
    return True, do(replace(root, state=state, context=context), *args)
