"""Who pays: which classes and samples lose by the current state or the preview, and what the model looks at in one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from threading import RLock
from typing import Any

import anywidget
import ipywidgets as W
import torch
import traitlets
from torch import Tensor

from widgets import theme
from widgets.figure import Figure, script
from widgets.pictures import png
from widgets.view import View
from workbench import formatting
from workbench.charts import class_chart
from workbench.errors import WorkbenchError
from workbench.inspection import attribute_input, heat, likeness, picture, words
from workbench.jobs.progress import Progress
from workbench.measure.impact import ChangedSample, Impact
from workbench.model.twin import twin
from workbench.session.session import Session
from workbench.steps import Context, Step, TrainingStep, candidate
from workbench.steps.recipe import step_code
from workbench.task.batch import leaves, take
from workbench.task.samples import at_rest

MOST_CARDS = 60
# What speaks against the answer, and for it.
COLORS = ((213, 94, 0), (0, 114, 178))
INVITATION = (
    "Runs the untouched subject and the shown state on every validation sample, and says which classes and which "
    "samples paid for the compression."
)
KINDS = (("all that changed", "all"), ("right before, wrong now", "lost"), ("wrong before, right now", "won"))


class SampleCards(anywidget.AnyWidget):
    """Samples in the page, of which one can be chosen."""

    _esm = script("part.js", "samples.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(-1, help="Number of the chosen sample, -1 for none.").tag(sync=True)


class WhoPays(View):
    """Looks when asked to: it takes a pass over the whole split. Says so when what it shows is of another state."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.look = W.Button(
            description="See who pays", icon="users", button_style="primary", tooltip=INVITATION,
            layout={"width": "auto"},
        )  # fmt: skip
        self.of = W.HTML()
        self.alarm, self.rule = W.HTML(), W.HTML()
        self.chart = class_chart()
        self.figure = Figure(self.chart.figure, lock, "Change of the score by class, with intervals")
        self.figure.on_tap(self.chart.marks, self.hear(self._only))
        self.which = W.Dropdown(options=KINDS, description="samples", layout={"width": "300px"})
        self.label = W.Dropdown(options=[("every class", -1)], description="class", layout={"width": "230px"})
        self.count = W.HTML()
        self.cards = SampleCards()
        self.looked = W.HTML()
        filters = W.HBox([self.which, self.label, self.count], layout={"flex_flow": "row wrap"})
        self.holder = W.VBox(
            [self.alarm, self.figure, self.rule, filters, self.cards, self.looked], layout={"display": "none"}
        )
        self.root = W.VBox(
            [W.HBox([self.look, self.of], layout={"align_items": "center", "flex_flow": "row wrap"}), self.holder]
        )
        self._impact: Impact | None = None
        self._seen: tuple[int, Step | None] | None = None
        self.look.on_click(self.act(self._look))
        self.which.observe(self.act(self._show_cards), "value")
        self.label.observe(self.act(self._show_cards), "value")
        self.cards.observe(self.act(self._attribute), "chosen")
        self.watch(self._say_state, "history", "staged")

    def _look(self) -> None:
        if self._place() == (0, None):
            raise WorkbenchError(
                "the panel shows the untouched subject, which costs nobody: preview or apply a step first"
            )
        self.session.start("See who pays", self.inspect, self._place())

    def inspect(self, place: tuple[int, Step | None], progress: Progress) -> None:
        """Compare a state with the baseline, and draw it."""
        impact = self.session.impact(place[1], progress)
        with self.lock, self.quietly():
            self._impact, self._seen = impact, place
            names = [(row.name, row.label) for row in impact.classes]
            self.label.options = [("every class", -1), *names]
            self.label.layout.display = self.figure.layout.display = "" if names else "none"
            self.which.value = "all"
            self.alarm.value, self.rule.value = _alarm(impact), _rule(impact)
            with self.figure.update():
                self.chart.show(impact)
            self.cards.chosen, self.looked.value = -1, ""
            self.holder.layout.display = ""
            self._say_state()
        self._show_cards()

    def _place(self) -> tuple[int, Step | None]:
        """Return the state that is shown: a node of the history, and the step that is previewed on it."""
        staged = self.session.staged
        step = staged.step if staged is not None and not staged.error else None
        return self.session.history.at, None if isinstance(step, TrainingStep) else step

    def _say_state(self) -> None:
        if self._seen is None:
            self.of.value = f"<p class='wb-help'>{INVITATION}</p>"
            return
        number, step = self._seen
        what = f"state {number}" if number else "the untouched subject"
        what += f" after the preview {step_code(step).removeprefix('wb.')}" if step is not None else ""
        other = " The panel shows another state by now: look again." if self._seen != self._place() else ""
        self.of.value = f"<p class='wb-help'>Below: {escape(what)}.<b>{other}</b></p>"

    def _only(self, row: int) -> None:
        """Show the samples of the class that was tapped."""
        self.label.value = self.chart.source.data["label"][row]

    def _chosen(self) -> list[ChangedSample]:
        if self._impact is None:
            return []
        sign = 1 if self._impact.higher_is_better else -1
        kinds = {"all": (-1, 0, 1), "lost": (-1,), "won": (1,)}[self.which.value]
        return [
            sample
            for sample in self._impact.samples
            if self.label.value in (-1, sample.target) and sign * _direction(sample) in kinds
        ]

    def _show_cards(self) -> None:
        samples = self._chosen()
        shown = samples[:MOST_CARDS]
        rows = self._rows(shown)
        more = f", the {len(shown)} that were surest before are shown" if len(shown) < len(samples) else ""
        with self.lock, self.quietly():
            self.cards.rows = rows
            self.count.value = f"<p class='wb-help'>{len(samples):,} samples{more}</p>"
            if self.cards.chosen not in {row["number"] for row in rows}:
                self.cards.chosen, self.looked.value = -1, ""

    def _rows(self, shown: Sequence[ChangedSample]) -> list[dict[str, Any]]:
        if not shown or self._impact is None:
            return []
        task = self.session.subject.task
        inputs, targets = at_rest(task.split("validation")).batch([sample.number for sample in shown])
        sign = 1 if self._impact.higher_is_better else -1
        rows = []
        for place, sample in enumerate(shown):
            values = inputs[0][place]
            image = picture(values, task.mean, task.std) if task.describe is None else None
            reads = words(values) if task.describe is None else task.describe(tuple(one[place] for one in inputs))
            if sample.target >= 0:
                label = f"is {self._name(sample.target)}"
                said = f"{self._name(sample.before)} → {self._name(sample.after)}"
                before, after = formatting.percent(sample.sure_before), formatting.percent(sample.sure_after)
                sure = f"\nbefore {before} sure, now {after}"
            else:
                target = leaves(take(targets, torch.tensor([place])))
                label, sure = f"target {words(target[0])}" if target else "", ""
                said = f"{sample.result_before:.3g} → {sample.result_after:.3g}"
            rows.append(
                {
                    "number": sample.number,
                    "picture": png(image) if image is not None else "",
                    "text": "" if image is not None else reads,
                    "label": label,
                    "said": said,
                    "verdict": {-1: "lost", 0: "same", 1: "won"}[sign * _direction(sample)],
                    "title": f"validation sample {sample.number}: {label}, {said}{sure}",
                }
            )
        return rows

    def _name(self, label: int) -> str:
        classes = self.session.subject.task.classes
        return classes[label] if 0 <= label < len(classes) else str(label)

    def _attribute(self) -> None:
        if self.cards.chosen < 0:
            with self.lock:
                self.looked.value = ""
        elif self._seen is not None:
            self.session.start("What it looks at", self.attribute, self.cards.chosen, self._seen)

    def attribute(self, number: int, place: tuple[int, Step | None], progress: Progress) -> None:
        """Draw what both models look at in one sample."""
        session, task = self.session, self.session.subject.task
        classes = task.metric.classes
        inputs, targets = task.split("validation").batch([number])
        progress.update(0.1, "the untouched subject")
        before = attribute_input(session.subject.model, inputs, targets, classes)[0]
        progress.update(0.5, "the shown state")
        state = session.state_of(place[0])
        overlay: dict[str, Tensor] = {}
        if place[1] is not None:
            context = Context(session.subject, session.settings.seed, progress.part(0.5, 0.7))
            state, overlay = candidate(state, place[1], context)
        after = attribute_input(twin(state.model, overlay), inputs, targets, classes)[0]
        progress.update(1.0)
        html = self._compared(inputs[0][0], before, after)
        with self.lock:
            if self.cards.chosen == number:
                self.looked.value = html

    def _compared(self, sample: Tensor, before: Tensor, after: Tensor) -> str:
        """Return both attributions beside the sample, in one scale."""
        alike = likeness(before, after)
        verdict = (
            "it looks at the same" if alike >= 0.9 else "it looks partly elsewhere" if alike >= 0.6
            else "it looks elsewhere"
        )  # fmt: skip
        image = picture(sample, self.session.subject.task.mean, self.session.subject.task.std)
        if image is not None:
            limit = float(torch.cat([before.sum(0).flatten(), after.sum(0).flatten()]).abs().quantile(0.99))
            pictures = [("the sample", image), *(
                (title, heat(values, limit, COLORS)) for title, values in (("before", before), ("now", after))
            )]  # fmt: skip
            shown = "".join(
                f"<figure><img src='{png(image)}' alt='{title}'><figcaption>{title}</figcaption></figure>"
                for title, image in pictures
            )
        else:
            shown = _columns(sample, before, after)
        return (
            f"<div class='wb-looked'>{shown}<p><b>{escape(verdict)}</b>: the two patterns have a cosine of "
            f"{alike:.2f}.<br>Blue speaks for the right answer, orange against it (captum).</p></div>"
        )


def _direction(sample: ChangedSample) -> int:
    return (sample.result_after > sample.result_before) - (sample.result_after < sample.result_before)


def _alarm(impact: Impact) -> str:
    mean = formatting.points(impact.after - impact.before, impact.unit)
    if not impact.classes:
        return theme.note(f"{impact.metric}: {mean}. Samples of this task have no class; those that changed are below.")
    names = ", ".join(f"{row.name} ({formatting.points(row.change, impact.unit)})" for row in impact.broken[:5])
    more = f" and {len(impact.broken) - 5} more" if len(impact.broken) > 5 else ""
    if impact.broken and impact.holds:
        return theme.note(f"The mean holds ({mean}), but not for everybody: {names}{more}.", "error")
    if impact.broken:
        return theme.note(f"The mean fell ({mean}), and most for: {names}{more}.", "error")
    held = f"The mean holds ({mean})" if impact.holds else f"The mean fell ({mean})"
    return theme.note(
        f"{held}, and no class is shown to lose more than the others.", "done" if impact.holds else "note"
    )


def _rule(impact: Impact) -> str:
    if not impact.classes:
        return ""
    margin = "2 points" if impact.unit == "%" else "2 % of the score"
    shown = f" The {len(impact.classes)} classes are sorted by loss." if len(impact.classes) > 1 else ""
    return (
        f"<p class='wb-hint'>A class counts as broken where its whole interval is on the side of loss and it lost at "
        f"least {margin} more than the mean. All {impact.total:,} {impact.split} samples were seen; intervals say what "
        f"to expect of new ones, and hold for all {len(impact.classes)} classes together (95 %, Bonferroni).{shown} "
        "Tap a class to see its samples.</p>"
    )


def _columns(sample: Tensor, before: Tensor, after: Tensor) -> str:
    """Return the values that matter most, before and now, as a table."""
    flat = [value.flatten() for value in (sample, before, after)]
    most = torch.maximum(flat[1].abs(), flat[2].abs()).argsort(descending=True)[:12].sort().values.tolist()
    rows = "".join(
        f"<tr><td>{place}</td><td>{float(flat[0][place]):.3g}</td><td>{float(flat[1][place]):+.3g}</td>"
        f"<td>{float(flat[2][place]):+.3g}</td></tr>"
        for place in most
    )
    return f"<table><tr><th>input</th><th>value</th><th>before</th><th>now</th></tr>{rows}</table>"
