"""The inside of the chosen layer: spread of its channels, spectrum, alike channels, what flows through it."""

from __future__ import annotations

from html import escape
from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import activation_chart, similarity_chart, spectrum_chart, spread_chart
from workbench.inspection import channel_spread, cosine_similarity, observe_activations, singular_spectrum
from workbench.layers import Layer
from workbench.progress import Progress
from workbench.session import Session

INVITATION = (
    "Choose a layer, then look inside: how its channels spread, its singular values, which channels are alike, "
    "and what flows through it on calibration data."
)


class Structure(View):
    """Looks at layers when asked to: a forward pass over data is too much for every click."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.look = W.Button(description="Look inside", icon="eye", layout={"width": "auto"}, tooltip=INVITATION)
        self.title = W.HTML(f"<p class='wb-help'>{INVITATION}</p>")
        self.spread, self.spectrum = spread_chart(), spectrum_chart()
        self.similarity, self.activations = similarity_chart(), activation_chart()
        charts = (self.activations, self.spread, self.spectrum, self.similarity)
        self.figures = {id(chart): Figure(chart.figure, lock) for chart in charts}
        self.holder = W.VBox(list(self.figures.values()), layout={"display": "none"})
        self.look.on_click(self.act(lambda: self.session.start("Look inside", self.inspect)))
        self.root = W.VBox([W.HBox([self.look, self.title]), self.holder])

    def inspect(self, progress: Progress) -> None:
        """Draw the first chosen layer, and the activations of all chosen ones."""
        state, task = self.session.state, self.session.subject.task
        chosen = [layer for layer in self.session.layers if layer.name in self.session.selection]
        chosen = chosen or list(self.session.layers)
        split = "calibration" if task.has("calibration") else "validation"
        found = observe_activations(state.model, task, [layer.name for layer in chosen], split=split, progress=progress)
        weight = state.model.get_parameter(chosen[0].parameter).detach()
        with self.lock:
            self._draw(self.activations, list(found.values()))
            self._draw(self.spread, channel_spread(weight, chosen[0].outputs))
            self._draw(self.spectrum, singular_spectrum(weight, chosen[0].outputs))
            self._draw(self.similarity, cosine_similarity(weight, chosen[0].outputs))
            self.title.value = _title(chosen[0], len(chosen))
            self.holder.layout.display = ""

    def _draw(self, chart: object, found: object) -> None:
        with self.figures[id(chart)].update():
            chart.show(found)


def _title(layer: Layer, count: int) -> str:
    words = f"activations of {count} layers; weights of " if count > 1 else ""
    return f"<p class='wb-help'>{words}<b>{escape(layer.name)}</b></p>"
