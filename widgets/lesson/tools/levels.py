"""Levels drawn on a real layer's weights, with the error that they make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import ipywidgets as W
import torch
from torch import Tensor

from widgets.figure import Figure
from widgets.lesson.tools.tool import Tool
from workbench import formatting
from workbench.charts.teaching import levels_chart
from workbench.inspection import histogram

MOST, BINS, ROUNDS = 8, 70, 60


class LevelEditor(Tool):
    """A few values that all weights of a layer are rounded to, placed by hand.

    Args:
        weight: Of any shape.
        name: What it is called.
        levels: How many there are at first.
    """

    def __init__(self, weight: Tensor, name: str, levels: int = 4) -> None:
        self.values = weight.detach().flatten().double()
        self.chart = levels_chart(histogram(self.values.float(), BINS), MOST)
        self.figure = Figure(
            self.chart.figure, label=f"Histogram of {name} with levels; the fields below move them too"
        )
        for place, span in enumerate(self.chart.levels):
            self.figure.on_drag(span, lambda moved, place=place: self._move(place, moved["location"]), "location")
        self.number = W.BoundedIntText(
            value=levels,
            min=2,
            max=MOST,
            description="levels",
            style={"description_width": "auto"},
            layout={"width": "120px"},
        )
        self.even = W.Button(description="Even grid", tooltip="Equal distances from the smallest to the largest weight")
        self.means = W.ToggleButton(description="Show k-means", tooltip="What k-means finds, as triangles")
        self.fields = W.HBox([], layout={"flex_flow": "row wrap"})
        self.places = self.even_places(levels)
        super().__init__(
            f"Levels for {len(self.values):,} weights of {name}",
            [W.HBox([self.number, self.even, self.means]), self.figure, self.fields],
        )
        self.even.on_click(lambda _: self.set(self.even_places(self.number.value)))
        self.number.observe(lambda _: self.set(self.even_places(self.number.value)), "value")
        self.means.observe(lambda _: self.set(self.places), "value")
        self.set(self.places)

    def even_places(self, count: int) -> list[float]:
        """Return levels at equal distances over the whole range."""
        return torch.linspace(float(self.values.min()), float(self.values.max()), count).tolist()

    def kmeans_places(self, count: int) -> list[float]:
        """Return the levels that k-means finds from a good start: parts of equally many weights."""
        ordered = self.values.sort().values
        places = torch.stack([part.mean() for part in ordered.tensor_split(count)])
        for _ in range(ROUNDS):
            nearest = self._nearest(places)
            sums = torch.zeros_like(places).index_add_(0, nearest, self.values)
            counts = torch.bincount(nearest, minlength=count)
            places = torch.where(counts > 0, sums / counts.clamp_min(1), places)
        return places.tolist()

    def error(self, places: Sequence[float]) -> float:
        """Return the squared error of rounding to levels, as a part of the weights' own squared sum."""
        levels = torch.tensor(sorted(places), dtype=torch.float64)
        return float(((self.values - levels[self._nearest(levels)]) ** 2).sum() / (self.values**2).sum())

    def set(self, places: Sequence[float]) -> None:
        """Place the levels."""
        self.places = list(places)
        with self.figure.update():
            self.chart.show(self.places, self.kmeans_places(len(places)) if self.means.value else ())
        if len(self.fields.children) != len(self.places):
            self.fields.children = [self._field(place) for place in range(len(self.places))]
        for field, value in zip(self.fields.children, self.places, strict=True):
            field.value = round(value, 4)
        self._tell()

    def _nearest(self, levels: Tensor) -> Tensor:
        return torch.bucketize(self.values, (levels[1:] + levels[:-1]) / 2)

    def _field(self, place: int) -> W.FloatText:
        field = W.FloatText(
            step=0.01, description=f"level {place + 1}", style={"description_width": "auto"}, layout={"width": "142px"}
        )

        def typed(change: dict[str, float]) -> None:
            if abs(change["new"] - self.places[place]) > 1e-4:  # what `set` wrote is rounded
                self._move(place, change["new"])

        field.observe(typed, "value")
        return field

    def _move(self, place: int, value: float) -> None:
        if place < len(self.places) and math.isfinite(value):
            self.set([*self.places[:place], value, *self.places[place + 1 :]])

    def _tell(self) -> None:
        count = len(self.places)
        told = {
            "your error": formatting.percent(self.error(self.places), 1),
            "even grid": formatting.percent(self.error(self.even_places(count)), 1),
            **({"k-means": formatting.percent(self.error(self.kmeans_places(count)), 1)} if self.means.value else {}),
            "bits a weight": f"{math.ceil(math.log2(count))}",
        }
        self.tell(told)
