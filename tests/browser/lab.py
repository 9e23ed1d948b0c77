"""A JupyterLab to drive: started once, with its announcements off, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).parents[2]
SHARED = "shared.ipynb"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# Latencies are not what these tests look at, and a second for each state is long.
OPEN = """import ipywidgets, workbench as wb
from widgets import Panel
if "session" in globals():  # of the test before
    session.close()
    ipywidgets.Widget.close_all()
session = wb.Session(wb.load("digits-resnet"), wb.Settings(seconds=0.1), autosave=None)
panel = Panel(session)
panel"""


def find_browser() -> str | None:
    """Return the path of a Chromium, None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Lab:
    """Where a running JupyterLab is."""

    url: str
    token: str
    folder: Path

    def notebook(self, name: str) -> str:
        """Return the address of a fresh copy of a notebook, so that each page has a kernel of its own."""
        copy = f"{secrets.token_hex(4)}-{name}"
        shutil.copy(self.folder / name, self.folder / copy)
        return self.again(copy)

    def shared(self) -> str:
        """Return the address of the notebook whose kernel all pages share; its cell gives each a session of its own."""
        return self.again(self.fresh())

    def fresh(self) -> str:
        """Write a notebook with a panel on a fresh session, and return its name."""
        cells = [nbformat.v4.new_code_cell(OPEN), nbformat.v4.new_code_cell("")]
        made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
        nbformat.write(made, self.folder / SHARED)
        return SHARED

    def again(self, name: str) -> str:
        """Return the address of a notebook as it is, in a workspace of its own."""
        return f"{self.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{name}?token={self.token}"

    def end_kernels(self, but: str = "") -> None:
        """Shut all kernels down, but for those of one notebook."""
        listed = urllib.request.Request(f"{self.url}/api/sessions?token={self.token}")  # noqa: S310  # as in _wait
        with urllib.request.urlopen(listed, timeout=10) as answer:  # noqa: S310  # as above
            for session in json.load(answer):
                if session["path"] == but:
                    continue
                address = f"{self.url}/api/sessions/{session['id']}?token={self.token}"
                with urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=10):  # noqa: S310
                    pass


@contextlib.contextmanager
def running_lab(folder: Path, theme: str = "light", program: str = "jupyterlab") -> Iterator[Lab]:
    """Give a JupyterLab, or a Notebook, on a copy of the notebooks; it is ended afterwards."""
    shutil.copytree(ROOT / "notebooks", folder, dirs_exist_ok=True)
    config = folder / ".config"
    overrides = config / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    overrides.mkdir(parents=True)
    (overrides / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    (overrides / "themes.jupyterlab-settings").write_text(f'{{"theme": "JupyterLab {theme.capitalize()}"}}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTERLAB_SETTINGS_DIR": str(config / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(config / "lab" / "workspaces"),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable, "-m", program, "--no-browser", "--expose-app-in-browser", "--allow-root",
        f"--port={port}", "--ip=127.0.0.1", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}", "--ServerApp.log_level=ERROR",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(f"http://127.0.0.1:{port}/api/status?token={token}", server)
            yield Lab(f"http://127.0.0.1:{port}", token, folder)
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # this machine's own server
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("JupyterLab did not start; see lab.log")
