"""Recurrent operators, whose hidden units are rows of every gate.

A unit is a row in each gate of both weights and of their biases, and a column of the weight that reads the state
before. With all of these zero the gates give one half and the candidate gives zero, so a unit that begins at zero stays
there: a unit removed is a unit set to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from workbench.graph.flow import Call, Dims, Labelled, Rule, positions
from workbench.graph.labels import POSITION, Array

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(call: Call) -> list[Dims]:
    """All layers and directions of a module have one hidden size, so their units are coupled one by one."""
    gates, arguments = GATES[call.op], call.arguments
    source, states = call.dims("input"), _states(call)
    both, parameters = 2 if arguments["bidirectional"] else 1, list[Labelled](arguments["params"])
    count = len(parameters) // (int(arguments["num_layers"]) * both)
    cells = [parameters[start : start + count] for start in range(0, len(parameters), count)]
    projected = count in (3, 5)  # an LSTM that makes its state smaller, by a weight of its own
    hidden: list[Array] = []
    outputs: list[Array] = []
    entering = source[-1]
    for layer in range(0, len(cells), both):
        states_in = []
        for inside, again, *rest in cells[layer : layer + both]:
            units, state = _cell(call, gates, entering, inside, again, rest, projected)
            hidden.append(units)
            outputs.append(state)
            states_in.append(state)
        entering = np.concatenate(states_in)
    state = reduce(call.unify, outputs)
    cell = reduce(call.unify, hidden)
    own = [state, cell] if call.op == "lstm" else [state]
    for before, labels in zip(states, own, strict=True):
        _begin(call, before[-1], labels)
    places = tuple(np.where(labels < 0, POSITION, labels) for labels in source[:-1])
    # The labels of outputs are those after all layers were coupled, in the order of the directions.
    last = np.concatenate([call.unify(output, state) for output in outputs[-both:]])
    rows = call.shapes[1]
    ends = [(*map(positions, rows[:-1]), labels) for labels in own]
    return [(*places, last), *ends]


def cell(call: Call) -> list[Dims]:
    """One step of a recurrent layer."""
    gates = GATES[call.op.removesuffix("_cell")]
    source, states = call.dims("input"), _states(call)
    inside, again = (call.arguments[name] for name in ("w_ih", "w_hh"))
    biases = [call.arguments[name] for name in ("b_ih", "b_hh") if isinstance(call.arguments.get(name), Labelled)]
    units, state = _cell(call, gates, source[-1], inside, again, biases, False)
    for before in states:
        _begin(call, before[-1], units)
    return [(*source[:-1], state)] * len(call.shapes)


def _cell(
    call: Call,
    gates: int,
    entering: Array,
    inside: Labelled,
    again: Labelled,
    rest: Sequence[Labelled],
    projected: bool,
) -> tuple[Array, Array]:
    """Return the labels of the units of one direction of a layer, and of the state that it gives."""
    units = call.tie(inside.dims[0], gates)
    projection = rest[-1] if projected else None
    for rows in (again, *(rest[:-1] if projected else rest)):
        units = call.unify(units, call.tie(rows.dims[0], gates))
    call.unify(entering, inside.dims[1])
    state = units
    if projection is not None:
        call.unify(units, projection.dims[1])
        state = projection.dims[0]
        call.holds(projection, producer=0, consumer=1)
    call.unify(state, again.dims[1])
    call.holds(inside, producer=0, consumer=1)
    call.holds(again, producer=0)
    return units, state


def _states(call: Call) -> list[Dims]:
    value = call.arguments["hx"]
    return [part.dims for part in (value if isinstance(value, list | tuple) else [value])]


def _begin(call: Call, before: Array, units: Array) -> None:
    """Couple the state that a call begins with."""
    call.unify(before, units)


RULES: dict[str, Rule] = {
    **dict.fromkeys(GATES, recurrent),
    **dict.fromkeys((f"{name}_cell" for name in GATES), cell),
}
