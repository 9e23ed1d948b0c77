"""A Dask cluster as an executor, and what people want to know of one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import Any

from workbench.errors import WorkbenchError, first_line
from workbench.search.trials.workers import width_of

SECONDS = 10  # to reach a scheduler


@contextmanager
def cluster(scheduler: str) -> Iterator[Executor]:
    """Give the executor of a Dask cluster.

    Args:
        scheduler: Its address, such as "tcp://10.0.0.4:8786".

    Raises:
        WorkbenchError: Dask is not installed, or there is no such scheduler.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise WorkbenchError("a Dask cluster needs dask: pip install 'compression-workbench[distributed]'") from error
    try:
        client: Any = Client(scheduler, timeout=SECONDS)  # type: ignore[no-untyped-call]  # Dask leaves it unannotated
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"no Dask scheduler answers at {scheduler}: {first_line(error)}") from error
    with client:
        yield client.get_executor()


def executor_words(executor: Executor | None) -> tuple[str, str]:
    """Return who does scans and searches, "" for this process, and the address of a dashboard, "" without one."""
    if executor is None:
        return "", ""
    with suppress(Exception):  # of a cluster that is not there any more
        width = width_of(executor)
        link = str(getattr(getattr(executor, "_client", None), "dashboard_link", "") or "")
        return f"scans and searches on {width} worker{'' if width == 1 else 's'}", link
    return "workers are gone", ""
