"""States set side by side: their numbers, what differs by layer, and the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench import formatting
from workbench.measure import Measurement, Size
from workbench.measure.impact import Impact
from workbench.model.layers import Layer
from workbench.steps import State


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        what: What is compared.
        values: A text for each state.
        differs: Whether they are not all the same.
    """

    what: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def number_rows(measured: Sequence[Measurement]) -> tuple[Row, ...]:
    """Return the numbers of several states, one row a quantity."""
    columns = [{what: value for what, _, value in formatting.rows(one)} for one in measured]
    names = dict.fromkeys(what for column in columns for what in column)
    return tuple(Row(what, tuple(column.get(what, "–") for column in columns)) for what in names)


def layer_rows(states: Sequence[tuple[State, Sequence[Layer], Size]]) -> tuple[Row, ...]:
    """Return what is kept of each layer and in how many bits, for the layers in which states differ."""
    columns = [{layer.name: _layer(state, layer, size) for layer in layers} for state, layers, size in states]
    rows = []
    for name in dict.fromkeys(name for column in columns for name in column):
        facts = [column.get(name) for column in columns]
        # A shape that all have says nothing here.
        first = 0 if len({one[0] for one in facts if one is not None}) > 1 else 1
        rows.append(Row(name, tuple("–" if one is None else " · ".join(one[first:]) for one in facts)))
    return tuple(row for row in rows if row.differs)


def _layer(state: State, layer: Layer, size: Size) -> tuple[str, ...]:
    """Return shape, part that is not zero, bits a weight, and bytes where they are known."""
    weight, coding = state.model.get_parameter(layer.parameter), state.codings.get(layer.parameter)
    shape = "×".join(str(side) for side in weight.shape)
    share = int(weight.count_nonzero()) / max(weight.numel(), 1)
    bits = f"{coding.bits if coding else weight.element_size() * 8} bits"
    held = (formatting.size(size.layers[layer.parameter]),) if layer.parameter in size.layers else ()
    return shape, formatting.percent(share), bits, *held


def class_rows(impacts: Sequence[Impact]) -> tuple[Row, ...]:
    """Return the change of each class's score in several states, the largest loss first."""
    names = {row.label: row.name for impact in impacts for row in impact.classes}
    by_state = [{row.label: row for row in impact.classes} for impact in impacts]
    worst = {label: min((rows[label].change for rows in by_state if label in rows), default=0.0) for label in names}
    return tuple(
        Row(
            names[label],
            tuple(
                formatting.points(rows[label].change, impact.unit) if label in rows else "–"
                for rows, impact in zip(by_state, impacts, strict=True)
            ),
        )
        for label in sorted(names, key=worst.__getitem__)
    )


def flip_rows(impacts: Mapping[int, Impact]) -> tuple[Row, ...]:
    """Return how many samples each state lost and won against the untouched subject, and against each other state."""

    def lost(impact: Impact) -> set[int]:
        sign = 1 if impact.higher_is_better else -1
        return {s.number for s in impact.samples if sign * (s.result_after - s.result_before) < 0}

    def won(impact: Impact) -> set[int]:
        sign = 1 if impact.higher_is_better else -1
        return {s.number for s in impact.samples if sign * (s.result_after - s.result_before) > 0}

    gone, gained = {n: lost(i) for n, i in impacts.items()}, {n: won(i) for n, i in impacts.items()}
    rows = [
        Row("right before, wrong now", tuple(f"{len(gone[n]):,}" for n in impacts)),
        Row("wrong before, right now", tuple(f"{len(gained[n]):,}" for n in impacts)),
    ]
    for other in impacts:
        # Worse here than there: lost here alone, or won there alone.
        cells = (
            "–" if n == other else f"{len((gone[n] - gone[other]) | (gained[other] - gained[n])):,}" for n in impacts
        )
        rows.append(Row(f"worse than in state {other}", tuple(cells)))
    return tuple(rows)
