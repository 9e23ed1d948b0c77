"""What a notebook shows of the panel where there is no kernel: plain tables in an output of their own.

JupyterLab shows "model not found" for a widget without its kernel, whatever else the same output holds, so the
snapshot is an output beside it, hidden while a panel lives in the same cell. It is refreshed when the history or
the measurements change, as long as someone takes the message: a page that was open when the cell ran, or the cell
of a headless notebook that is running.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any
from uuid import uuid4

from IPython.display import HTML, display, update_display

from workbench import formatting
from workbench.measure import HOW, Measurement
from workbench.session.session import Session

TRAITS = ["history", "measurements"]
# A notebook is no place for thousands of rows that nobody reads there.
ROWS = 400


class Snapshot:
    """The output beside a panel; it shows nothing until it is asked to."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._key, self._shown = uuid4().hex, ""

    def watch(self, session: Session | None) -> None:
        """Show this session from now on, and no other; None shows what was there for good."""
        if self._session is not None:
            self._session.unobserve(self._refresh, TRAITS)
        self._session = session
        if session is not None:
            session.observe(self._refresh, TRAITS)
            self._refresh()

    def show(self) -> None:
        """Write the snapshot into the running cell's output."""
        if self._session is not None:
            self._shown = html(self._session)
            display(HTML(self._shown), display_id=self._key)

    def _refresh(self, _: Any = None) -> None:
        if self._shown and self._session is not None and (text := html(self._session)) != self._shown:
            self._shown = text
            update_display(HTML(text), display_id=self._key)


def html(session: Session) -> str:
    """Return the current state of a session as HTML that needs neither script nor style."""
    history, base = session.history, session.measurements.get(0)
    measurement = session.measurements.get(history.at)
    where = "the untouched subject" if history.at == 0 else f"state {history.at}"
    parts = [
        f"<p><b>{escape(session.subject.name)}</b>: {escape(where)}, as it was when this notebook was saved. "
        "Run the cell to work on it.</p>"
    ]
    rows = _numbers(base, measurement) if measurement is not None else []
    parts.append(_table(("", "baseline", "now", "how"), rows) if rows else "<p>Not measured yet.</p>")
    parts.append(f"<pre>{escape(session.recipe.code() or 'no steps yet')}</pre>")
    parts.append(_layers(session))
    return f"<div class='wb-snapshot'>{''.join(parts)}</div>"


def _numbers(base: Measurement | None, measurement: Measurement) -> list[tuple[str, ...]]:
    before = {title: value for title, _, value in formatting.rows(base)} if base is not None else {}
    return [(title, before.get(title, "–"), value, HOW[field]) for title, field, value in formatting.rows(measurement)]


def _layers(session: Session) -> str:
    state, layers = session.state, session.layers
    rows = []
    for layer in layers[:ROWS]:
        weight, coding = state.model.get_parameter(layer.parameter), state.codings.get(layer.parameter)
        share = int(weight.count_nonzero()) / max(1, weight.numel())
        bits = coding.bits if coding else weight.element_size() * 8
        shape = "×".join(str(side) for side in layer.shape)
        rows.append(
            (layer.name, layer.kind, shape, formatting.count(layer.params), formatting.percent(share), str(bits))
        )
    more = f"<p>and {len(layers) - ROWS:,} more layers</p>" if len(layers) > ROWS else ""
    heads = ("layer", "kind", "shape", "parameters", "not zero", "bits")
    return f"<details><summary>{len(layers):,} layers</summary>{_table(heads, rows)}{more}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
