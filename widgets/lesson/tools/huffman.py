"""A Huffman tree of real codes, which grows join by join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from widgets.figure import Figure
from widgets.lesson.tools.tool import Tool, slider
from workbench.charts.teaching import tree_chart
from workbench.lessons.huffman_tree import Node, codes, entropy, huffman_tree, mean_bits


class HuffmanTool(Tool):
    """The tree of some symbols; the slider says how many joins are done.

    Args:
        counts: How often each symbol occurs.
        title: What the symbols are.
    """

    def __init__(self, counts: Mapping[str, float], title: str) -> None:
        self.counts, self.tree = dict(counts), huffman_tree(counts)
        leaves = list(codes(self.tree))
        self.places = {symbol: float(place) for place, symbol in enumerate(leaves)}
        self.joins = slider("joins", 0, 0, len(leaves) - 1)
        self.chart = tree_chart(leaves, _height(self.tree))
        self.figure = Figure(self.chart.figure, label="The tree so far; the two rarest parts are joined next")
        super().__init__(title, [self.joins, self.figure])
        self.joins.observe(lambda _: self._show(), "value")
        self._show()

    def _place(self, node: Node) -> float:
        return sum(map(self._place, node.parts)) / 2 if node.parts else self.places[node.symbol]

    def _nodes(self, node: Node) -> Iterator[Node]:
        for part in node.parts:
            yield from self._nodes(part)
        if node.step <= self.joins.value:
            yield node

    def _show(self) -> None:
        nodes = list(self._nodes(self.tree))
        edges = [(node, part, bit) for node in nodes for part, bit in zip(node.parts, "01", strict=False)]
        total, now = self.tree.weight, self.joins.value
        with self.figure.update():
            self.chart.nodes.data = {
                "x": [self._place(node) for node in nodes],
                "y": [_height(node) for node in nodes],
                "size": [8 + 26 * (node.weight / total) ** 0.5 for node in nodes],
                "fresh": [int(node.step == now and now > 0) for node in nodes],
                "text": [f"{node.weight / total:.0%}" for node in nodes],
                "below": [node.symbol for node in nodes],
            }
            ends = [((self._place(a), _height(a)), (self._place(b), _height(b))) for a, b, _ in edges]
            self.chart.edges.data = {
                "x0": [a[0] for a, _ in ends], "y0": [a[1] for a, _ in ends],
                "x1": [b[0] for _, b in ends], "y1": [b[1] for _, b in ends],
                "x": [(a[0] + b[0]) / 2 for a, b in ends], "y": [(a[1] + b[1]) / 2 for a, b in ends],
                "bit": [bit for *_, bit in edges],
            }  # fmt: skip
        self._tell(len(self.counts) - 1 == now)

    def _tell(self, done: bool) -> None:
        code, fixed = codes(self.tree), (len(self.counts) - 1).bit_length()
        mean = f"{mean_bits(self.counts, code):.3f} bits a symbol" if done else "known after the last join"
        common, rare = (pick(self.counts, key=self.counts.__getitem__) for pick in (max, min))
        self.tell(
            {
                "this code": mean,
                "all codes of one length": f"{fixed} bits",
                "entropy": f"{entropy(self.counts):.3f} bits",
                **({f"code of {common}": code[common], f"code of {rare}": code[rare]} if done else {}),
            }
        )


def _height(node: Node) -> int:
    return 1 + max(map(_height, node.parts)) if node.parts else 0
