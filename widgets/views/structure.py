"""The inside of the chosen layer: channels to cut by hand, spread, spectrum, likeness, and what flows through."""

from __future__ import annotations

import glob
from html import escape
from threading import RLock
from typing import Any

import ipywidgets as W
import traitlets

from widgets import theme
from widgets.figure import Figure, script
from widgets.sending import SendingWidget
from widgets.view import View
from workbench.charts import activation_chart, similarity_chart, spectrum_chart, spread_chart
from workbench.errors import WorkbenchError
from workbench.inspection import (
    Activations,
    Channels,
    channel_spread,
    channels_of,
    cosine_similarity,
    observe_activations,
    singular_spectrum,
)
from workbench.jobs.progress import Progress
from workbench.model.layers import Layer
from workbench.session.session import Session
from workbench.steps import KINDS, Context
from workbench.steps.prune.cut_channels import channel_numbers, channel_text
from workbench.steps.prune.importance import CRITERIA

INVITATION = (
    "Choose a layer, then look inside: which of its channels matter, to cut them by hand; how they spread, which are "
    "alike, its singular values, and what flows through it on calibration data."
)
ORDERS = (("by number", "number"), ("by importance", "importance"))
CUT = "cut_channels"


class ChannelStrip(SendingWidget):
    """A bar a channel in the page."""

    sent = "cut"
    _esm = script("tell.js", "channels.js")
    label = traitlets.Unicode().tag(sync=True)
    order: traitlets.List[int] = traitlets.List(help="Numbers of the channels from left to right.").tag(sync=True)
    heights: traitlets.List[float] = traitlets.List(help="Of each channel, 0 to 1; [] for unknown.").tag(sync=True)
    titles: traitlets.List[str] = traitlets.List().tag(sync=True)
    marked: traitlets.List[int] = traitlets.List(help="Channels that do next to nothing.").tag(sync=True)
    cut: traitlets.List[int] = traitlets.List(traitlets.Int(), help="Channels that are to go.").tag(sync=True)
    fixed = traitlets.Bool(help="Whether none of them can go.").tag(sync=True)


class Structure(View):
    """Looks at layers when asked to: a forward pass over data is too much for every click.

    A channel that is toggled goes into the session's draft, which is previewed like any other step.
    """

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.look = W.Button(
            description="Look inside", icon="eye", button_style="primary", layout={"width": "auto"}, tooltip=INVITATION
        )
        self.title = W.HTML(f"<p class='wb-help'>{INVITATION}</p>")
        self.criterion = W.Dropdown(
            options=[(criterion.title, kind) for kind, criterion in CRITERIA.items()], description="importance",
            layout={"width": "300px"}, tooltip="What the bars' heights say",
        )  # fmt: skip
        self.order = W.Dropdown(options=ORDERS, description="order", layout={"width": "210px"})
        self.strip = ChannelStrip()
        self.words, self.chosen = W.HTML(), W.HTML()
        self.apply = W.Button(
            description="Apply cut", icon="check", button_style="primary", tooltip="Put it into the history",
            layout={"width": "auto"},
        )  # fmt: skip
        self.clear = W.Button(
            description="Keep all", icon="eraser", tooltip="Take the choice back", layout={"width": "auto"}
        )
        self.buttons = W.HBox([self.apply, self.clear, self.chosen], layout={"align_items": "center"})
        self.spread, self.spectrum = spread_chart(), spectrum_chart()
        self.similarity, self.activations = similarity_chart(), activation_chart()
        charts = {
            "What flows through": self.activations, "Weights of its channels": self.spread,
            "Singular values": self.spectrum, "Which channels are alike": self.similarity,
        }  # fmt: skip
        self.figures = {id(chart): Figure(chart.figure, lock, title) for title, chart in charts.items()}
        self.grid = W.Box(
            [W.VBox([W.HTML(f"<b>{title}</b>"), self.figures[id(chart)]]) for title, chart in charts.items()]
        )
        self.grid.add_class("wb-grid")
        choices = W.HBox([self.criterion, self.order], layout={"flex_flow": "row wrap"})
        self.channels = W.VBox([choices, self.words, self.strip, self.buttons])
        self.holder = W.VBox([self.channels, self.grid], layout={"display": "none"})
        head = W.HBox([self.look, self.title], layout={"align_items": "center"})
        self.root = W.VBox([head, self.holder])
        self._group: Channels | None = None
        self._seen: tuple[int, str] | None = None
        self._activations: Activations | None = None
        self.look.on_click(self.act(lambda: self.session.start("Look inside", self.inspect)))
        self.criterion.observe(self.act(self._rank_again), "value")
        self.order.observe(self.act(self._reorder), "value")
        self.strip.observe(self.act(self._toggle), "cut")
        self.apply.on_click(self.act(self._apply))
        self.clear.on_click(self.act(self._clear))
        self.watch(self._follow, "draft")
        self.watch(self._say, "history", "selection")

    def inspect(self, progress: Progress) -> None:
        """Draw the first chosen layer, and the activations of all chosen ones."""
        number, state, task = self.session.history.at, self.session.state, self.session.subject.task
        chosen = [layer for layer in self.session.layers if layer.name in self.session.selection]
        # With nothing chosen the largest one says most about the model, as in the histogram of weights.
        chosen = chosen or [max(self.session.layers, key=lambda layer: layer.params)]
        split = "calibration" if task.has("calibration") else "validation"
        # What is no layer of a known kind gives nothing that could be looked at.
        names = list(dict.fromkeys(layer.module for layer in chosen if layer.output))
        observed = observe_activations(state.model, task, names, split=split, progress=progress.part(0.0, 0.5))
        self._activations = observed.get(chosen[0].module) if chosen[0].output else None
        weight = state.model.get_parameter(chosen[0].parameter).detach()
        with self.lock:
            self._seen = number, chosen[0].name
            self._draw(self.activations, list(observed.values()))
            self._draw(self.spread, channel_spread(weight, chosen[0].outputs))
            self._draw(self.spectrum, singular_spectrum(weight, chosen[0].outputs))
            self._draw(self.similarity, cosine_similarity(weight, chosen[0].outputs))
            self._say(chosen)
            self.holder.layout.display = ""
        self.rank(progress.part(0.5, 1.0))

    def rank(self, progress: Progress) -> None:
        """Draw the channels of the layer that is looked at."""
        if self._seen is None:
            return
        number, layer = self._seen
        words, channels = "", ()
        try:
            state = self.session.state_of(number)
            context = Context(self.session.subject, self.session.settings.seed, progress)
            channels = channels_of(
                state.model, context.groups(state.model), self._module(layer), self.criterion.value, context
            )
        except WorkbenchError as error:  # what else there is to see stays in sight
            words = str(error)
        with self.lock, self.quietly():
            self._group = channels[0] if channels else None
            self.words.value = _about(channels, words)
            self._fill()
            self._follow()

    def _module(self, name: str) -> str:
        """Return the module that holds a layer, since groups of channels are those of modules."""
        return next((layer.module for layer in self.session.layers if layer.name == name), name)

    def _rank_again(self) -> None:
        if self._seen is not None:
            self.session.start("Rank channels", self.rank)

    def _fill(self) -> None:
        group = self._group
        self.strip.layout.display = self.buttons.layout.display = "" if group else "none"
        if group is None:
            return
        top = max((abs(value) for value in group.importance), default=0.0) or 1.0
        idle = _idle(self._activations, group.count)
        with self.strip.hold_sync():
            self.strip.label = f"channels of {group.group}"
            self.strip.fixed = bool(group.fixed)
            self.strip.heights = [max(value, 0.0) / top for value in group.importance]
            self.strip.marked = list(idle)
            self.strip.titles = [
                f"channel {number}"
                + (f": importance {group.importance[number]:.3g}" if group.importance else "")
                + (f"; {idle[number]}" if number in idle else "")
                for number in range(group.count)
            ]
            self.strip.order = self._ordered(group)
        self.buttons.layout.display = "none" if group.fixed else ""

    def _ordered(self, group: Channels) -> list[int]:
        numbers = list(range(group.count))
        by_importance = self.order.value == "importance" and group.importance
        return sorted(numbers, key=group.importance.__getitem__) if by_importance else numbers

    def _reorder(self) -> None:
        with self.lock, self.quietly():
            self._fill()

    def _cut_step(self, numbers: list[int]) -> Any:
        if self._group is None:
            raise WorkbenchError("look inside a layer first")
        return KINDS[CUT](layers=glob.escape(self._group.layers[0]), channels=channel_text(numbers))

    def _toggle(self) -> None:
        if self._seen is not None and self._seen[0] != self.session.history.at:
            raise WorkbenchError("these channels are those of another state: look inside again")
        if self.strip.cut:
            self.session.preview(self._cut_step(self.strip.cut))
        else:
            self._clear()

    def _clear(self) -> None:
        self.session.take_back()
        self.session.draft = self._cut_step([])

    def _apply(self) -> None:
        if not self.strip.cut:
            raise WorkbenchError("no channel is chosen: click those in the strip that are to go")
        step = self._cut_step(self.strip.cut)
        self.session.start(f"Apply {step.title}", self.session.apply, step)

    def _follow(self) -> None:
        """Show the draft's choice, if it speaks of these channels."""
        draft, group = self.session.draft, self._group
        mine = group is not None and draft is not None and draft.kind == CUT
        if mine and draft is not None and group is not None and draft.layers == glob.escape(group.layers[0]):
            cut = [number for number in channel_numbers(draft.facts()["channels"]) if number < group.count]
        else:
            cut = []
        self.strip.cut = cut
        of = f" of {group.count}" if group else ""
        self.chosen.value = f"<p class='wb-help'>{len(cut)}{of} channels are to go</p>" if cut else ""

    def _say(self, chosen: list[Layer] | None = None) -> None:
        if self._seen is None:
            return
        number, layer = self._seen
        named = self.session.selection[0] if self.session.selection else layer
        stale = "" if number == self.session.history.at else " The model is another by now: look again."
        stale = stale or ("" if layer in (named, *self.session.selection) else f" {named} is chosen: look again.")
        words = f"; activations of {len(chosen)} layers" if chosen and len(chosen) > 1 else ""
        self.title.value = (
            f"<p class='wb-help'><b>{escape(layer)}</b> in state {number}{words}.<b>{escape(stale)}</b></p>"
        )

    def _draw(self, chart: Any, shown: object) -> None:
        with self.figures[id(chart)].update():
            chart.show(shown)


def _idle(seen: Activations | None, count: int) -> dict[int, str]:
    """Return the channels that do next to nothing on the samples, and what they do."""
    if seen is None or len(seen.channel_low) != count:
        return {}
    reasons = {}
    for number, (low, high) in enumerate(zip(seen.channel_low, seen.channel_high, strict=True)):
        if low == high:
            reasons[number] = f"gave {low:.3g} and nothing else on {seen.samples} samples"
        elif high <= 0:
            reasons[number] = f"never above zero on {seen.samples} samples"
    return reasons


def _about(channels: tuple[Channels, ...], wrong: str) -> str:
    if wrong:
        return theme.note(wrong)
    if not channels:
        return theme.note("This layer has no channels that could be cut.")
    group = channels[0]
    if group.fixed:
        return theme.note(f"The {group.count} channels of {group.group} must stay: {group.fixed}")
    others = list(group.layers[1:])
    together = f" They are made together with {_some(others)}, and go there too." if others else ""
    several = " This layer makes several groups, and the same numbers go in each." if len(channels) > 1 else ""
    silent = f" {group.unranked}." if group.unranked else ""
    return (
        f"<p class='wb-hint'>{group.count} channels, read by {escape(_some(group.consumers))}.{escape(together)}"
        f"{escape(several)}{escape(silent)} Click a bar to cut it; those with a dot do next to nothing.</p>"
    )


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
