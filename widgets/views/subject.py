"""Which model: the embedded ones by name, any other by the texts that `wb.load` takes."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from threading import RLock

import ipywidgets as W

from widgets.fold import Fold
from widgets.view import View
from workbench import load
from workbench.errors import WorkbenchError
from workbench.loading.embedded import NAMES
from workbench.model.subject import Subject
from workbench.session.session import Session

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
    """Name and device of the subject, and a form to open another.

    Args:
        session: What is shown.
        lock: The panel's lock.
        opened: Called with a newly loaded subject.
    """

    def __init__(self, session: Session, lock: RLock, opened: Callable[[Subject], None]) -> None:
        super().__init__(session, lock)
        self._opened = opened
        name = session.subject.name
        known = list(dict.fromkeys([*NAMES, name] if name not in NAMES else NAMES))
        self.choice = W.Dropdown(options=known, value=name, layout={"width": "200px"}, tooltip="Open another model")
        self.facts = W.HTML(_facts(session))
        self.what = W.Text(
            placeholder="nets.py:resnet20, timm:NAME, hf:FOLDER, out/", description="model", layout={"width": "420px"}
        )
        self.fields = {
            key: W.Text(placeholder=hint, description=key, layout={"width": "420px"}) for key, hint in FIELDS.items()
        }
        self.open = W.Button(description="Open", icon="folder-open", layout={"width": "auto"})
        self.form = Fold("Open another model", W.VBox([self.what, *self.fields.values(), self.open]))
        self.choice.observe(self.act(self._choose), "value")
        self.open.on_click(self.act(self._load))
        self.root = W.HBox([self.choice, self.facts], layout={"align_items": "center"})

    def _choose(self) -> None:
        if self.choice.value in NAMES:
            self._opened(load(self.choice.value))

    def _load(self) -> None:
        values = {key: field.value.strip() for key, field in self.fields.items() if field.value.strip()}
        scales = {key: _numbers(key, values.pop(key)) for key in ("mean", "std") if key in values}
        output, columns = values.pop("output", None), values.pop("columns", "")
        entering = [part.strip() for part in columns.split(",") if part.strip()]
        place = int(output) if output is not None and output.lstrip("-").isdigit() else output
        self._opened(load(self.what.value.strip(), output=place, columns=entering, **values, **scales))


def _numbers(field: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise WorkbenchError(f"{field} must be numbers with commas between them, not {text!r}") from None


def _facts(session: Session) -> str:
    import torch

    task = session.subject.task
    data = f"{len(task.split('validation')):,} validation samples"
    words = [escape(task.name or task.metric.name), data, f"cpu, {torch.get_num_threads()} threads"]
    return f"<span class='wb-state'>&nbsp;{' · '.join(words)}</span>"
