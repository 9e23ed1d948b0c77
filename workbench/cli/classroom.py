"""The lessons for a class: a JupyterLab for each learner, on copies of their own."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError, first_line
from workbench.lessons.submissions import FOLDERS
from workbench.loading.named import is_file

TOGETHER = "together"
NAME = re.compile(r"[\w][\w.@ -]{0,63}")
START_SECONDS, END_SECONDS = 120.0, 20.0
# A learner who left the page leaves the kernel behind.
FORGOTTEN_SECONDS = 3600
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Desk:
    """Where one learner works.

    Attributes:
        learner: Whose it is.
        folder: With the panel's notebook and `lessons/`.
        address: What the learner opens; who has it can do there what the learner can.
    """

    learner: str
    folder: Path
    address: str


def serve_lessons(chosen: Namespace) -> None:
    """Serve the lessons until interrupted: to each learner apart, or to all together.

    Raises:
        WorkbenchError: The learners are not named, or a server cannot be started.
        KeyboardInterrupt: It was stopped.
    """
    if chosen.apart and not chosen.learners:
        raise WorkbenchError("apart is for learners with names: --learners ada,bob, or a file with a name on each line")
    if chosen.learners and not chosen.apart:
        raise WorkbenchError("--learners is for --apart, which gives each of them a folder and a server")
    learners = names(chosen.learners) if chosen.apart else (TOGETHER,)
    folder = Path(chosen.folder)
    with _ended(), _servers() as start:
        for number, learner in enumerate(learners):
            desk = start(learner, prepare(folder / learner), chosen.host, _port(chosen, number), chosen.threads)
            print(f"{desk.learner}\t{desk.address}", flush=True)
        print(
            f"{len(learners)} folders in {folder}/. Kernels run as you do: this keeps learners out of each other's "
            f"way, and is no prison. `workbench grade {folder}` grades all. Ctrl-C ends it.",
            flush=True,
        )
        while True:
            time.sleep(3600)


@contextmanager
def _ended() -> Iterator[None]:
    """Take being interrupted for the end that it is."""
    with contextlib.suppress(KeyboardInterrupt):
        yield


def names(text: str) -> tuple[str, ...]:
    """Return the learners of a list with commas, or of a file with a name on each line.

    Raises:
        WorkbenchError: A name is there twice or cannot be a folder's, or there is none.
    """
    path = Path(text)
    try:
        listed = path.read_text(encoding="utf-8").splitlines() if is_file(path) else text.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"the names in {text} cannot be read: {first_line(error)}") from None
    found = tuple(name.strip() for name in listed if name.strip())
    if not found:
        raise WorkbenchError("there is no learner among the names")
    for name in found:
        if name in FOLDERS:
            raise WorkbenchError(f"{name!r} is a folder of the course; each learner needs a name of their own")
        if not NAME.fullmatch(name) or name.endswith("."):
            raise WorkbenchError(f"{name!r} cannot be a folder: letters, digits, spaces and . _ @ - are for names")
    if len({name.lower() for name in found}) < len(found):
        raise WorkbenchError("a name is there twice; each learner needs one of their own")
    return found


def prepare(folder: Path, package: Path = PACKAGE) -> Path:
    """Put the panel's notebook and the lessons into a learner's folder. What is there already is their work, and stays.

    Raises:
        WorkbenchError: The notebooks are not there, or the folder cannot be written.
    """
    held = next(
        (one for one in (package.parent / "notebooks", package / "notebooks") if (one / "lessons").is_dir()), None
    )
    if held is None:
        raise WorkbenchError("the lessons' notebooks are not there; `make notebooks` makes them")
    try:
        for source in (held / "workbench.ipynb", *sorted((held / "lessons").rglob("*.ipynb"))):
            target = folder / source.relative_to(held)
            if ".ipynb_checkpoints" not in source.parts and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    except OSError as error:
        raise WorkbenchError(f"the lessons cannot be put into {folder}: {first_line(error)}") from None
    return folder.resolve()


def _port(chosen: Namespace, number: int) -> int:
    """Return the port of a learner: those from the first on, or where none was asked for any that are free."""
    if chosen.port:
        return int(chosen.port) + number
    try:
        family = socket.getaddrinfo(chosen.host or None, 0, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((chosen.host, 0), family=family) as free:
            return int(free.getsockname()[1])
    except OSError as error:
        raise WorkbenchError(f"this machine cannot listen at {chosen.host}: {error.strerror or error}") from None


@contextmanager
def _servers() -> Iterator[Callable[[str, Path, str, int, int | None], Desk]]:
    """Give a function that starts a server; all of them are ended afterwards, with their kernels."""
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="workbench-class-", ignore_cleanup_errors=True) as own:

        def start(learner: str, folder: Path, host: str, port: int, threads: int | None) -> Desk:
            token = secrets.token_hex(16)
            place = Path(own) / f"{len(running)}"
            place.mkdir()
            # Not in the learner's folder: a file of settings in the current one would be run.
            process = subprocess.Popen(  # noqa: S603  # our own environment's
                _command(folder, host, port), cwd=place, env=_environment(place, token, threads),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            running.append(process)
            _wait(host, port, token, process, learner)
            shown = socket.gethostname() if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
            return Desk(learner, folder, f"http://{shown}:{port}/lab/tree/lessons/01-where.ipynb?token={token}")

        try:
            yield start
        finally:
            _end(running)


def _command(folder: Path, host: str, port: int) -> list[str]:
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        sys.executable, "-m", "jupyterlab", "--no-browser", *root, f"--ServerApp.ip={host}", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", "--ServerApp.terminals_enabled=False",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly", f"--MappingKernelManager.cull_idle_timeout={FORGOTTEN_SECONDS}",
    ]  # fmt: skip


def _environment(place: Path, token: str, threads: int | None) -> dict[str, str]:
    """Return what a learner's server sees: its token not among the arguments, and tabs that are nobody else's."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ,
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(place / "config"),
        "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
        "PYTHONPATH": path,
        **({"OMP_NUM_THREADS": str(threads)} if threads else {}),
    }


def _wait(host: str, port: int, token: str, process: subprocess.Popen[bytes], learner: str) -> None:
    near = "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104
    address = f"http://{near}:{port}/api/status?token={token}"
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise WorkbenchError(f"the server of {learner} did not start at {host}, port {port}: is the port taken?")


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    end = time.monotonic() + END_SECONDS
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
        process.wait()
