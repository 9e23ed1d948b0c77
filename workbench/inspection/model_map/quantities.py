"""What a map's colours can say of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench import formatting
from workbench.checkpoint.coding import Coding
from workbench.model.layers import Layer
from workbench.search.sensitivity import Table
from workbench.steps import State


@dataclass(frozen=True)
class Quantity:
    """One way to colour layers.

    Attributes:
        title: What people read.
        say: A value in words.
        block: A block's value, of those of its layers.
        most: Where the scale ends at least, None for the largest value there is.
        fixed: Whether it ends there for good.
        tone: "loss" where much is bad, "" else.
    """

    title: str
    say: Callable[[float], str]
    block: Callable[[Sequence[float]], float] = sum
    most: float | None = None
    fixed: bool = False
    tone: str = ""

    def scale(self, values: Sequence[float]) -> float:
        """Return the value of the darkest colour."""
        if self.fixed and self.most is not None:
            return self.most
        return max([*values, self.most or 0.0]) or 1.0


def _points(value: float) -> str:
    return f"{formatting.minus(f'{value:.1f}')} points lost"


QUANTITIES: dict[str, Quantity] = {
    "bytes": Quantity("bytes in the file", formatting.size),
    "macs": Quantity("MACs", lambda value: f"{formatting.count(value)} MACs"),
    "kept": Quantity("kept weights", lambda value: f"{formatting.percent(value)} kept", fmean, 1.0, True),
    "bits": Quantity("bits a weight", lambda value: f"{value:.3g} bits", fmean, 32.0, True),
    "sensitivity": Quantity("sensitivity", _points, max, 5.0, False, "loss"),
    "time": Quantity("time", formatting.latency),
}


def layer_values(
    state: State,
    layers: Sequence[Layer],
    weights: Mapping[str, int],
    *,
    file: Mapping[str, int],
    scan: Table | None,
    times: Mapping[str, float],
    nonzeros: Mapping[str, int],
    codings: Mapping[str, Coding],
) -> dict[str, dict[str, float]]:
    """Return for every quantity its value by layer, where it is known.

    Args:
        state: What is shown.
        layers: Its layers.
        weights: How many each layer of the untouched subject has.
        file: Bytes of each parameter in the file.
        scan: The latest, for sensitivity.
        times: Seconds of each layer by name, as far as they were taken.
        nonzeros: Values that are not zero, by parameter; what is not in it is counted.
        codings: How parameters are stored.
    """
    quantities: dict[str, dict[str, float]] = {name: {} for name in QUANTITIES}
    for layer in layers:
        weight, coding = state.model.get_parameter(layer.parameter), codings.get(layer.parameter)
        left = nonzeros.get(layer.parameter)
        left = int(weight.count_nonzero()) if left is None else left
        quantities["bits"][layer.name] = float(coding.bits if coding else weight.element_size() * 8)
        quantities["kept"][layer.name] = left / (weights.get(layer.name) or weight.numel())
        quantities["macs"][layer.name] = float(layer.macs)
        if layer.parameter in file:
            quantities["bytes"][layer.name] = float(file[layer.parameter])
        if layer.name in times:
            quantities["time"][layer.name] = times[layer.name]
    if scan is not None:
        quantities["sensitivity"] = _drops(scan)
    return quantities


def _drops(scan: Table) -> dict[str, float]:
    """Return what each part loses at the scan's middle strength, in points."""
    strengths = sorted(set(scan.strengths))
    middle = strengths[len(strengths) // 2] if strengths else 0.0
    factor = 100 if scan.baseline.unit == "%" else 1
    drops = {point.target: scan.drop(point) for point in scan.points if point.strength == middle and point.score}
    return {target: drop * factor for target, drop in drops.items() if math.isfinite(drop)}
