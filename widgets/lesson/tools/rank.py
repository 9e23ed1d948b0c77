"""A real layer as a picture, and what is left of it at a rank."""

from __future__ import annotations

import ipywidgets as W
import torch
from torch import Tensor

from widgets.figure import Figure
from widgets.lesson.tools.tool import Tool, slider
from workbench import formatting
from workbench.charts.teaching import matrix_chart

# A page draws small pictures faster, and nobody sees more.
MOST = 72


class RankTool(Tool):
    """A matrix beside its best approximation of a rank.

    Args:
        matrix: [M, N]; of more dimensions the others are rows.
        name: What it is called.
    """

    def __init__(self, matrix: Tensor, name: str) -> None:
        self.matrix = matrix.detach().float().flatten(1)
        self.u, self.s, self.v = torch.linalg.svd(self.matrix, full_matrices=False)
        self.rank = slider("rank", max(1, len(self.s) // 4), 1, len(self.s))
        reach = 3 * float(self.matrix.std())
        self.whole, self.part = (matrix_chart(self._rows(self.matrix), reach) for _ in range(2))
        self.figure = Figure(self.part.figure, label=f"{name} at the rank that was set")
        pictures = W.HBox(
            [
                W.VBox(
                    [Figure(self.whole.figure, label=f"{name} as it is"), W.HTML("as it is")], layout={"flex": "1 1 0"}
                ),
                W.VBox([self.figure, W.HTML("at this rank")], layout={"flex": "1 1 0"}),
            ]
        )
        title = f"{name}, {len(self.matrix)} × {self.matrix.shape[1]}"
        super().__init__(title, [self.rank, pictures])
        self.rank.observe(lambda _: self._show(), "value")
        self._show()

    @staticmethod
    def _rows(matrix: Tensor) -> list[list[float]]:
        return matrix[:MOST, :MOST].tolist()

    def _show(self) -> None:
        r, (rows, columns) = self.rank.value, self.matrix.shape
        near = (self.u[:, :r] * self.s[:r]) @ self.v[:r]
        with self.figure.update():
            self.part.show(self._rows(near))
        kept = float((self.s[:r] ** 2).sum() / (self.s**2).sum())
        numbers, whole = r * (rows + columns), rows * columns
        self.tell(
            {
                "energy that is kept": formatting.percent(kept, 1),
                "numbers": f"{numbers:,} for {whole:,}",
                "as a part": formatting.percent(numbers / whole),
            }
        )
