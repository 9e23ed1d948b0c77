"""The panel as a page of its own: Voilà on a notebook of one cell, which nobody sees."""

from __future__ import annotations

import secrets
import signal
import socket
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from workbench.cli.classroom import serve_lessons
from workbench.cli.subject import fields, settings
from workbench.errors import WorkbenchError
from workbench.loading.load import load

ENDING = (signal.SIGINT, signal.SIGTERM)


def serve(chosen: Namespace) -> None:
    """Serve the panel until SIGINT or SIGTERM; each visitor has a kernel and a session of their own. Or the lessons.

    Raises:
        WorkbenchError: Voilà is not installed, the subject cannot be loaded, or nobody can listen there.
        KeyboardInterrupt: It was stopped before it listened.
    """
    with _ended_by_signals():
        if chosen.lessons:
            serve_lessons(chosen)
        else:
            _serve(chosen)


def _serve(chosen: Namespace) -> None:
    if find_spec("voila") is None:
        raise WorkbenchError("a page is served by Voilà: pip install 'compression-workbench[page]'")
    _check(chosen.host, chosen.port)
    # Each visitor's kernel loads it again. What cannot be loaded is better refused here than on every page.
    name = load(chosen.subject, **fields(chosen)).name
    # The server is heavy, and only this command needs it.
    from workbench.cli.voila import Page

    def tell(address: str) -> None:
        print(
            f"The panel on {name} is at\n\n    {address}\n\nEach page has a kernel of its own, which ends with it. "
            "Who has this address can do there what you can do here.\nCtrl-C ends them all.",
            flush=True,
        )

    token = secrets.token_hex(24)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        Page.serve(Path(folder), code(chosen, Path.cwd()), chosen.host, chosen.port, token, chosen.theme, tell)


def code(chosen: Namespace, here: Path) -> str:
    """Return what each visitor's kernel runs: the chosen subject in a panel, from the folder `here`."""
    arguments = "".join(f", {name}={value!r}" for name, value in fields(chosen).items())
    lines = ["import os", f"os.chdir({str(here)!r})", "import workbench as wb", "from widgets import Panel"]
    if chosen.threads:
        lines += ["import torch", f"torch.set_num_threads({chosen.threads})"]
    lines += [f"subject = wb.load({chosen.subject!r}{arguments})"]
    if chosen.apart:
        lines += [
            "import tempfile",
            "os.makedirs('visitors', exist_ok=True)",
            "os.chdir(tempfile.mkdtemp(prefix='visitor-', dir='visitors'))",
        ]
    return "\n".join([*lines, f"session = wb.Session(subject, wb.{settings(chosen)!r})", "Panel(session)"])


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let both signals interrupt, and put the earlier handlers back afterwards.

    A shell that starts a job in the background may have it ignore SIGINT (POSIX; so `nohup make ... &`), and Python
    then leaves it ignored. The visitors' kernels would inherit that.
    """
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(host: str, port: int | None) -> None:
    """Refuse a place that cannot be listened at. Without a port, the next free one is taken later."""
    try:
        with socket.create_server((host, port or 0)):
            return
    except OSError as error:
        where = f"{host}, port {port}" if port else host
        raise WorkbenchError(f"the page cannot be served at {where}: {error.strerror}") from error
