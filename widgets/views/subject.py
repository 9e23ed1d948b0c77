"""Which model: the embedded ones by name, any other by the texts that `wb.load` takes."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from threading import RLock

import ipywidgets as W
import torch

from widgets import theme
from widgets.file_list import FileList
from widgets.view import View
from workbench import load
from workbench.errors import WorkbenchError
from workbench.inspection.contents import contents_of
from workbench.loading.embedded import NAMES
from workbench.model.subject import Subject
from workbench.session.session import Session
from workbench.task.device import device_names, device_words

FIELDS = {
    "checkpoint": "weights: .safetensors, .pt, .th",
    "validation": "data.npz, data.npz[:5000], a folder of images or .wav, a table",
    "train": "for calibration and recovery",
    "test": "scored once, at the export",
    "metric": "accuracy; f1, miou, perplexity, auc, map, mse …",
    "loss": "what trains it; by default what fits the metric",
    "columns": "of a table, what enters the model: text",
    "output": "what of the output is judged: a name or a place",
    "mean": "for images, per channel: 0.485, 0.456, 0.406",
    "std": "for images, per channel: 0.229, 0.224, 0.225",
}


class SubjectChoice(View):
    """Name and device of the subject, and a form to open another. Where there is one device it is a word elsewhere.

    Args:
        session: What is shown.
        lock: The panel's lock.
        opened: Called with a newly loaded subject, and the name of a device to be on, "" for the same.
    """

    def __init__(self, session: Session, lock: RLock, opened: Callable[[Subject, str], None]) -> None:
        super().__init__(session, lock)
        self._opened = opened
        name = session.subject.name
        known = list(dict.fromkeys([*NAMES, name] if name not in NAMES else NAMES))
        self.choice = W.Dropdown(
            options=known, value=name, layout={"width": "170px"}, tooltip="The model; open another"
        )
        self.facts = W.HTML(_facts(session))
        self.facts.add_class("wb-facts")
        names = dict.fromkeys([*device_names(), str(session.device)])
        self.device = W.Dropdown(
            options=[(device_words(torch.device(name)), name) for name in names], value=str(session.device),
            layout={"width": "130px", "display": "" if len(names) > 1 else "none"},
            tooltip="Where models compute; another one is a new session, which takes the states up",
        )  # fmt: skip
        self.what = W.Text(
            placeholder="nets.py:resnet20, timm:NAME, hf:FOLDER, out/", description="model", layout={"width": "420px"}
        )
        self.fields = {
            key: W.Text(placeholder=hint, description=key, layout={"width": "420px"}) for key, hint in FIELDS.items()
        }
        self.open = W.Button(
            description="Open", icon="folder-open", button_style="primary", layout={"width": "auto"},
            tooltip="Load the model with what stands in the fields",
        )  # fmt: skip
        self.picker = FileList(choose=self._picked, failed=self._fail)
        self.holds = W.HTML()
        self.takes = W.Dropdown(description="take as", layout={"width": "420px", "display": "none"})
        self.use = W.Button(
            description="Use it", tooltip="Put it into its field", layout={"width": "auto", "display": "none"}
        )
        self.use.on_click(self.act(self._use))
        self.more = W.ToggleButton(
            icon="folder-open", tooltip="Open a model of your own", description="Open a model", layout={"width": "32px"}
        )
        self.more.add_class("wb-icon")
        self.form = W.VBox(
            [
                W.HTML(
                    "<b>Open a model of your own</b><p class='wb-hint'>Choose a file, see what it holds, and "
                    "use it: the model as a Python file or exported folder, its checkpoint, its data.</p>"
                ),
                W.HBox(
                    [
                        W.VBox([self.picker, self.holds, W.HBox([self.takes, self.use])], layout={"flex": "1 1 46%"}),
                        W.VBox([self.what, *self.fields.values(), self.open], layout={"flex": "1 1 50%"}),
                    ],
                    layout={"flex_flow": "row wrap", "align_items": "flex-start"},
                ),
            ],
            layout={"display": "none"},
        )
        self.form.add_class("wb-sheet")
        # Asked before work is lost; what was tried is on disk in any case.
        self.question = W.HTML()
        self.sure = W.Button(
            description="Open it",
            tooltip="Stop the work and open the other model",
            button_style="warning",
            layout={"width": "auto"},
        )
        self.stay = W.Button(description="Stay", tooltip="Stay with this model", layout={"width": "auto"})
        self.ask = W.HBox([self.question, self.sure, self.stay], layout={"display": "none"})
        self.ask.add_class("wb-sheet")
        self._wanted: Callable[[], Subject] | None = None
        self._where = ""
        self.choice.observe(self.act(self._choose), "value")
        self.device.observe(self.act(self._move), "value")
        self.more.observe(self.act(self._unfold), "value")
        self.open.on_click(self.act(self._load))
        self.sure.on_click(self.act(self._go))
        self.stay.on_click(self.act(self._stay))
        self.root = W.HBox([self.choice, self.more, self.device, self.facts])
        self.root.add_class("wb-subject")

    def _unfold(self) -> None:
        self.form.layout.display = "" if self.more.value else "none"
        if self.more.value and not self.picker.rows:
            self.picker.browse(Path.cwd())

    def _fail(self, words: str) -> None:
        self.session.error = words

    def _picked(self, path: Path) -> None:
        """Say what a file holds, and offer what it can be."""
        contents = contents_of(path)
        lines = "".join(f"<li>{escape(line)}</li>" for line in contents.lines)
        missing = theme.note(contents.missing, "error")
        self.holds.value = f"<b>{escape(path.name)}</b><ul class='wb-holds'>{lines}</ul>{missing}"
        uses = [(f"model {Path(text).name}", ("model", text)) for text in contents.choices]
        if contents.kind == "checkpoint":
            uses = [("checkpoint: the weights", ("checkpoint", str(path)))]
        elif contents.kind == "data":
            uses = [(f"{split} data", (split, str(path))) for split in ("validation", "train", "test")]
        self.takes.options = [] if contents.missing else uses
        self.takes.index = 0 if self.takes.options else None
        self.takes.layout.display = self.use.layout.display = "" if self.takes.options else "none"

    def _use(self) -> None:
        field, text = self.takes.value
        (self.what if field == "model" else self.fields[field]).value = text

    def _choose(self) -> None:
        name = self.choice.value
        if name in NAMES and name != self.session.subject.name:
            self._want(name, lambda: load(name))

    def _move(self) -> None:
        name, subject = self.device.value, self.session.subject
        if name != str(self.session.device):
            self._want(f"{subject.name} on {name}", lambda: subject, name)

    def _want(self, title: str, opening: Callable[[], Subject], where: str = "") -> None:
        """Open a subject, after asking if work would be lost."""
        self._wanted, self._where = opening, where
        harmless = ("Measure the baseline", "Map of the model")
        lost = ", ".join(job.title for job in self.session.jobs if job.active and job.title not in harmless)
        if not lost:
            self._go()
            return
        self.question.value = f"<p>Opening <b>{escape(title)}</b> stops <b>{escape(lost)}</b>.</p>"
        self.ask.layout.display = ""

    def _go(self) -> None:
        opening, self._wanted = self._wanted, None
        self.ask.layout.display = "none"
        if opening is None:
            return
        self.facts.value = "<span class='wb-state'>opening …</span>"
        try:
            self._opened(opening(), self._where)
        except Exception:
            self._stay()
            self.facts.value = _facts(self.session)
            raise

    def _stay(self) -> None:
        self._wanted = None
        self.ask.layout.display = "none"
        with self.quietly():
            self.choice.value, self.device.value = self.session.subject.name, str(self.session.device)

    def _load(self) -> None:
        values = {key: field.value.strip() for key, field in self.fields.items() if field.value.strip()}
        scales = {key: _numbers(key, values.pop(key)) for key in ("mean", "std") if key in values}
        output, columns = values.pop("output", None), values.pop("columns", "")
        entering = [part.strip() for part in columns.split(",") if part.strip()]
        place = int(output) if output is not None and output.lstrip("-").isdigit() else output
        what = self.what.value.strip()
        self._want(what, lambda: load(what, output=place, columns=entering, **values, **scales))


def _numbers(field: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise WorkbenchError(f"{field} must be numbers with commas between them, not {text!r}") from None


def _facts(session: Session) -> str:
    task = session.subject.task
    data = f"{len(task.split('validation')):,} validation samples"
    words = " · ".join([task.name or task.metric.name, data])
    return f"<span class='wb-state' title='{escape(words)}'>{escape(words)}</span>"
