"""Files in the page: to go through and bring up, and to take along."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from widgets.figure import script
from workbench import formatting
from workbench.errors import WorkbenchError, first_line

OPENS = (".html", ".md", ".json", ".pdf", ".txt")
MOST = 400  # entries of a folder that are listed


class FileList(anywidget.AnyWidget):
    """Files that can be downloaded, or a folder of the server to choose from.

    Args:
        title: Stands above.
        choose: Called with the path of a chosen file; None for files to download.
        failed: Called with what went wrong, in words.
    """

    _esm = script("part.js", "files.js")
    title = traitlets.Unicode().tag(sync=True)
    browsing = traitlets.Bool().tag(sync=True)
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, title: str = "", choose: Callable[[Path], Any] | None = None, failed: Callable[[str], Any] = print
    ) -> None:
        super().__init__(title=title, browsing=choose is not None)
        self._choose, self._failed = choose, failed
        self._paths: dict[str, Path] = {}
        self._folder = Path.cwd()
        self.on_msg(lambda _, message, buffers: self.receive(message, buffers))

    def show(self, paths: Sequence[Path]) -> None:
        """List these files."""
        self._paths = {path.name: path for path in paths}
        self.rows = [_row(path) for path in paths]

    def browse(self, folder: Path) -> None:
        """List a folder, and the way up."""
        self._folder = folder.resolve()
        try:
            inside = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        except OSError as error:
            self._failed(f"{folder} cannot be read: {first_line(error)}")
            return
        ordered = sorted(inside, key=lambda path: (not path.is_dir(), path.name.lower()))[:MOST]
        self.show(ordered)
        self._paths[".."] = self._folder.parent
        self.rows = [{"name": "..", "folder": True, "size": "", "opens": False}, *self.rows]
        self.title, self.chosen = str(self._folder), ""

    def receive(self, message: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Work off what a page sends: {"fetch": name}, {"choose": name}, or {"upload": name} with the bytes."""
        try:
            self._take(message, buffers)
        except WorkbenchError as error:
            self._failed(str(error))
        except OSError as error:
            self._failed(f"the file could not be used: {first_line(error)}")

    def _take(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if (path := self._paths.get(str(message.get("fetch")))) is not None and path.is_file():
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            facts = {"file": path.name, "type": kind, "open": bool(message.get("open"))}
            self.send(facts, buffers=[path.read_bytes()])
        if self._choose is None:
            return
        if "upload" in message and buffers:
            name = Path(str(message["upload"])).name  # a name, and no way to another folder
            target = self._folder / name
            if not name or target.exists():
                raise WorkbenchError(f"there is a file {name or 'without a name'} in {self._folder} already")
            target.write_bytes(bytes(buffers[0]))
            self.browse(self._folder)
            self.chosen = name
            self._choose(target)
        elif (path := self._paths.get(str(message.get("choose")))) is not None:
            if path.is_dir():
                self.browse(path)
            self.chosen = "" if path.is_dir() else path.name
            self._choose(path)


def _row(path: Path) -> dict[str, Any]:
    folder = path.is_dir()
    size = "" if folder else formatting.size(path.stat().st_size)
    return {"name": path.name, "folder": folder, "size": size, "opens": path.suffix.lower() in OPENS}
