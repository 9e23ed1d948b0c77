"""A Huffman tree as it grows: which two parts are joined in each step, and where everything stands.

Huffman: "A Method for the Construction of Minimum-Redundancy Codes", 1952.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Node:
    """A symbol, or two parts that were joined.

    Attributes:
        weight: How often what is below it occurs.
        symbol: Of a leaf, "" of a join.
        step: In which it was joined; 0 of a leaf.
        parts: The two that were joined.
    """

    weight: float
    symbol: str = ""
    step: int = 0
    parts: tuple[Node, ...] = ()


def huffman_tree(counts: Mapping[str, float]) -> Node:
    """Return the root of the tree; of equal weights the older part is joined first.

    Raises:
        WorkbenchError: There are fewer than two symbols, or a count is not above zero.
    """
    if len(counts) < 2 or min(counts.values()) <= 0:
        raise WorkbenchError("a code needs at least two symbols that occur")
    order = count()
    heap = [(weight, next(order), Node(weight, symbol)) for symbol, weight in counts.items()]
    heapq.heapify(heap)
    for step in range(1, len(counts)):
        first, second = heapq.heappop(heap)[2], heapq.heappop(heap)[2]
        joined = Node(first.weight + second.weight, "", step, (first, second))
        heapq.heappush(heap, (joined.weight, next(order), joined))
    return heap[0][2]


def codes(node: Node, prefix: str = "") -> dict[str, str]:
    """Return the bit string of each symbol below a node."""
    if not node.parts:
        return {node.symbol: prefix}
    return {
        symbol: code
        for bit, part in zip("01", node.parts, strict=True)
        for symbol, code in codes(part, prefix + bit).items()
    }


def mean_bits(counts: Mapping[str, float], code: Mapping[str, str]) -> float:
    """Return the mean length of a code, in bits a symbol."""
    return sum(weight * len(code[symbol]) for symbol, weight in counts.items()) / sum(counts.values())


def entropy(counts: Mapping[str, float]) -> float:
    """Return the entropy of counts, in bits a symbol: no code is shorter in the mean."""
    total = sum(counts.values())
    return -sum(weight / total * math.log2(weight / total) for weight in counts.values() if weight)
