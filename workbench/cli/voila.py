"""Voilà, made to serve one notebook to whoever has the token, and to ask no other machine for anything."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tornado.ioloop import IOLoop
from traitlets.config import Config
from voila.app import Voila

HERE = Path(__file__).parent
# Scripts inside of the page are how Voilà, Bokeh and anywidget work. Nothing may come from or go to elsewhere.
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "font-src 'self' data:", "connect-src 'self' data: blob:", "worker-src 'self' blob:",
    "form-action 'self'", "base-uri 'self'", "frame-ancestors 'self'",
))  # fmt: skip
# What the panel is made of; other extensions of JupyterLab have no business here.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
# A page that was closed in an unusual way leaves its kernel behind.
FORGOTTEN_SECONDS = 3600


class Page(Voila):  # type: ignore[misc]  # it ships no type information
    """A server of one notebook's page."""

    tell: Callable[[str], None]
    template_paths: list[str]
    ioloop: IOLoop | None = None

    @classmethod
    def serve(
        cls, folder: Path, code: str, host: str, port: int | None, token: str, theme: str, tell: Callable[[str], None]
    ) -> None:
        """Serve until interrupted, by SIGINT or SIGTERM; then all kernels are ended.

        Args:
            folder: An empty one, for the notebook.
            code: The notebook's one cell.
            host: Address to listen at.
            port: Port to listen at, None for the next free one.
            token: What visitors must know.
            theme: "light" or "dark".
            tell: Called with the address once it can be visited.
        """
        path = folder / "workbench.ipynb"
        path.write_text(json.dumps(_notebook(code)), encoding="utf-8")
        config = Config()
        config.Voila.update(
            ip=host, token=token, notebook_path=str(path), log_level="ERROR",
            # A file of settings in the current folder would be run.
            config_file_paths=[], tornado_settings={"headers": {"Content-Security-Policy": POLICY}},
        )  # fmt: skip
        if port:
            config.Voila.update(port=port, port_retries=0)
        config.VoilaConfiguration.update(
            prelaunch_hook=_set_cookie,
            theme="dark" if theme == "dark" else "light", allow_template_override="NO", allow_theme_override="NO",
            file_allowlist=[], extension_allowlist=EXTENSIONS,
        )  # fmt: skip
        config.PasswordIdentityProvider.allow_password_change = False
        config.MappingKernelManager.cull_idle_timeout = FORGOTTEN_SECONDS
        # It warns of its own default at each visit.
        logging.getLogger("tornado.general").setLevel(logging.ERROR)
        page = cls.instance(config=config)
        page.tell = tell
        signal.signal(signal.SIGINT, page._handle_signal_stop)  # as Voilà did with SIGTERM
        page.initialize([])
        page.start()

    def setup_template_dirs(self) -> None:
        """Look for templates here first."""
        super().setup_template_dirs()
        self.template_paths = [str(HERE / "page"), *self.template_paths]

    def _handle_signal_stop(self, sig: int, frame: FrameType | None) -> None:
        """End on both signals: by the loop once there is one.

        Raised where the program happens to be, an exception may be lost in a destructor or a callback.
        """
        if self.ioloop is None:
            raise KeyboardInterrupt
        self.ioloop.add_callback_from_signal(self.ioloop.stop)

    def launch_browser(self) -> None:
        """Tell the address. Voilà calls this when it listens; a browser of its own would come without the token."""
        host = self.ip if self.ip not in ("", "0.0.0.0") else self.display_url.split("//")[1].split(":")[0]  # noqa: S104
        self.ioloop = IOLoop.current()  # whoever is told the address may end the server
        self.tell(f"http://{host}:{self.port}/?token={self.token}")


def _set_cookie(handler: Any, notebook: Any, cwd: str) -> None:
    """Give a visitor the cookie without which the page may not end its kernel when it is left."""
    _ = handler.xsrf_token


def _notebook(code: str) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "panel",
        "metadata": {},
        "source": code,
        "outputs": [],
        "execution_count": None,
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    facts = {"kernelspec": kernel, "title": "Compression Workbench"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": facts, "cells": [cell]}
