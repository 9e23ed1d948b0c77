"""What a net says of one sample, as its temperature rises."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as W
import torch
from torch import Tensor

from widgets.figure import Figure
from widgets.lesson.tools.tool import Tool
from workbench import formatting
from workbench.charts.teaching import class_bars


class TemperatureTool(Tool):
    """Softmax of a net's logits at a temperature.

    Args:
        logits: [C], of one sample.
        classes: Their names.
        title: What sample it is.
    """

    def __init__(self, logits: Tensor, classes: Sequence[str], title: str) -> None:
        self.logits, self.classes = logits.detach().double(), tuple(classes)
        self.temperature = W.FloatLogSlider(
            value=1.0, min=-0.6, max=1.6, step=0.05, description="temperature", readout_format=".2f",
            style={"description_width": "auto"},
        )  # fmt: skip
        self.chart = class_bars(self.classes, self._shares().tolist())
        self.figure = Figure(self.chart.figure, label="Share of each class in the output at this temperature")
        super().__init__(title, [self.temperature, self.figure])
        self.temperature.observe(lambda _: self._show(), "value")
        self._show()

    def _shares(self) -> Tensor:
        return torch.softmax(self.logits / self.temperature.value, 0)

    def _show(self) -> None:
        shares = self._shares()
        with self.figure.update():
            self.chart.show(shares.tolist())
        first, second = shares.topk(2).indices.tolist()
        entropy = float(-(shares * shares.clamp_min(1e-300).log2()).sum())
        self.tell(
            {
                f"first: {self.classes[first]}": formatting.percent(float(shares[first]), 2),
                f"second: {self.classes[second]}": formatting.percent(float(shares[second]), 2),
                "all the others": formatting.percent(float(1 - shares[first] - shares[second]), 2),
                "entropy": f"{entropy:.2f} of {torch.tensor(float(len(shares))).log2():.2f} bits",
            }
        )
