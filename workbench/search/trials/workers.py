"""Work handed to any `concurrent.futures.Executor`, as much at a time as it has workers.

Workers may be other processes or machines. What all work stands on is sent to each worker once: one that does not have
it says so, and gets the same work again with it. It is sent as code and data (cloudpickle), so workers must be as
trusted as this process. A worker that is lost costs the work that it was at; where the whole executor breaks, the
search goes on in this process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from typing import Any

from workbench.errors import Cancelled, WorkbenchError, first_line
from workbench.jobs.progress import Progress
from workbench.search.trials.parcel import pack, unpack, width_of
from workbench.search.trials.trial import TrialContext
from workbench.steps import State
from workbench.task.device import CPU

POLL_SECONDS = 0.2
KEPT = 8  # contexts and states that a worker keeps
_held: OrderedDict[str, Any] = OrderedDict()


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
    """

    def __init__(self, root: TrialContext, executor: Executor | None = None) -> None:
        self._root, self._executor = root, executor
        self._states: dict[str, State] = {}
        self._packed: dict[str, bytes] = {}
        self.width = width_of(executor)
        self.broken = ""

    def share(self, name: str, state: State) -> None:
        """Make a state one that work can be done on, under a name."""
        self._states[name] = state

    def forget(self, name: str) -> None:
        """Let go of a shared state."""
        self._states.pop(name, None)
        self._packed.pop(name, None)

    def run(self, ask: Callable[[], Work | None], take: Callable[[Work, Any], None], progress: Progress) -> None:
        """Do work until there is none: as much as fits is under way at any time.

        Args:
            ask: Gives the next piece, None while there is none; asked again whenever something came back.
            take: Called here with a piece of work and what came of it, a `Lost` where its worker was lost.
            progress: Asked whether to stop.

        Raises:
            WorkbenchError: What work is done on cannot be sent, or work refused it.
            Cancelled: It was told to stop; what is under way elsewhere is dropped.
        """
        under_way: dict[Future[Any], Work] = {}
        try:
            while True:
                progress.check()
                while len(under_way) < self.width:
                    work = ask()
                    if work is None:
                        break
                    if self._executor is None:
                        take(work, work.do(self._context(work.base), *work.args))
                        progress.check()
                    else:
                        self._submit(under_way, work, take)
                if not under_way:
                    if self._executor is None or work is None:
                        return
                    continue
                done, _ = wait(under_way, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self._came_back(under_way, future, take)
        finally:
            for future in under_way:
                future.cancel()

    def _came_back(
        self, under_way: dict[Future[Any], Work], future: Future[Any], take: Callable[[Work, Any], None]
    ) -> None:
        work = under_way.pop(future)
        try:
            known, result = future.result()
        except (WorkbenchError, Cancelled):
            raise
        except Exception as error:  # a worker fails in as many ways as there are executors
            if isinstance(error, BrokenExecutor):
                self._broke(error)
            take(work, Lost(f"its worker was lost: {first_line(error)}"))
            return
        if known:
            take(work, result)
        else:
            self._submit(under_way, work, take, sent=True)

    def _submit(
        self,
        under_way: dict[Future[Any], Work],
        work: Work,
        take: Callable[[Work, Any], None],
        sent: bool = False,
    ) -> None:
        if self._executor is None:  # it broke while this came back
            take(work, work.do(self._context(work.base), *work.args))
            return
        needed = {name: self._bytes(name) for name in dict.fromkeys(("", work.base))}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in needed.items()}
        payloads = needed if sent else {}
        try:
            future = self._executor.submit(elsewhere, digests, payloads, work.base, work.do, work.args)
        except Exception as error:  # what is broken, or was shut down by somebody
            self._broke(error)
            take(work, work.do(self._context(work.base), *work.args))
            return
        under_way[future] = work

    def _broke(self, error: BaseException) -> None:
        self.broken = f"the executor broke ({first_line(error)}), so the search went on in its own process"
        self._executor, self.width = None, 1

    def _context(self, base: str) -> TrialContext:
        return replace(self._root, state=self._states[base]) if base else self._root

    def _bytes(self, name: str) -> bytes:
        """Return what workers need of a shared state, made once."""
        if name not in self._packed:
            import cloudpickle

            if not name:
                self._packed[name] = pack(self._root, self.width, whole=True)
            else:
                self._packed[name] = bytes(cloudpickle.dumps(self._states[name].on(CPU)))
        return self._packed[name]


def elsewhere(
    digests: Mapping[str, str], payloads: Mapping[str, bytes], base: str, do: Callable[..., Any], args: tuple[Any, ...]
) -> tuple[bool, Any]:
    """Do a piece of work on a worker; (False, None) if it has not got what the work is done on."""
    import cloudpickle

    for name, digest in digests.items():
        if digest not in _held:
            if name not in payloads:
                return False, None
            # What is loaded here was sent by the process that this worker works for.
            _held[digest] = cloudpickle.loads(payloads[name]) if name else unpack(payloads[name])
        _held.move_to_end(digest)
    while len(_held) > KEPT:
        _held.popitem(last=False)
    context: TrialContext = _held[digests[""]]
    if base:
        # Moved once: what is there already is held on.
        _held[digests[base]] = _held[digests[base]].on(context.context.subject.device)
        context = replace(context, state=_held[digests[base]])
    return True, do(context, *args)
