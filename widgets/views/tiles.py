"""The numbers: score, latency, size, MACs and the rest, each against the baseline, of the state they name.

Every quantity has its place from the first moment on, known or not: a number that arrives moves no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from threading import RLock

import ipywidgets as W

from widgets import theme
from widgets.theme import Tile
from widgets.view import View
from workbench import formatting
from workbench.measure import HOW, Latency, Measurement, Score
from workbench.measure.runtimes import title_of
from workbench.session.preview import Preview
from workbench.session.session import Session

Past = Sequence[Measurement | None]
HELP = {
    "score": "On the validation split. An estimate comes with its 95 % interval; exact is every sample.",
    "latency": "Time for one batch, timed in turn with the untouched subject's, so that both meet the same machine.",
    "bytes": "The checkpoint file with its codings, to the byte.",
    "nonzero": "Weights and biases that are not zero, of all that are stored.",
    "macs": "Multiply-accumulates: a product and a sum each, for one sample.",
    "peak_memory": "The most that is held at once in one pass of a batch.",
    "energy": "Of one sample, modelled from MACs, widths and bytes moved; no meter was read.",
}


class Tiles(View):
    """Tiles for the preview where there is one, else for the current state; a thin strip, or all that is known."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.state, self.html = W.HTML(), W.HTML()
        self.state.add_class("wb-which")
        self.open = W.ToggleButton(
            icon="chevron-down", tooltip="Show or hide the details of the numbers", layout={"width": "30px"}
        )
        self.open.add_class("wb-quiet")
        self.root = W.HBox([self.state, self.html, self.open])
        self.root.add_class("wb-strip")
        self.open.observe(self.act(self._fold), "value")
        self.watch(self._show, "staged", "measurements", "history")

    def _fold(self) -> None:
        (self.root.add_class if self.open.value else self.root.remove_class)("wb-open")
        self.open.icon = "chevron-up" if self.open.value else "chevron-down"

    def _show(self) -> None:
        session, base = self.session, self.session.measurements.get(0)
        preview, at = session.staged, session.history.at
        where = "the untouched subject" if at == 0 else f"state {at}"
        past = [session.measurements.get(node.number) for node in session.history.path()]
        slots = _Slots(session.settings.runtimes, session.subject.task.metric.name, base, past)
        if preview is not None and not preview.error:
            self.state.value = (
                f"<div class='wb-state' title='What {escape(preview.step.title)} would do to {escape(where)}; it is "
                f"not applied'><span class='wb-preview'>preview</span><b>{escape(preview.step.title)}</b> "
                f"<span>on {escape(where)}</span></div>"
            )
            self.html.value = theme.tiles(slots.of_preview(preview))
            return
        self.state.value = f"<div class='wb-state'><span>numbers of</span><b>{escape(where)}</b></div>"
        self.html.value = theme.tiles(slots.of_measurement(session.measurements.get(at)))


class _Slots:
    """Makes the tiles, always the same ones in the same order.

    Args:
        runtimes: What is timed.
        metric: The score's name.
        base: The baseline, if it was measured.
        past: What was measured from the subject to the current state, None where nothing was.
    """

    def __init__(self, runtimes: Sequence[str], metric: str, base: Measurement | None, past: Past) -> None:
        self._runtimes, self._metric, self._base, self._past = runtimes, metric, base, past

    def of_measurement(self, now: Measurement | None) -> list[Tile]:
        """Return the tiles of a state; None for one that is being measured."""
        if now is None:
            score = Tile(self._metric.capitalize(), "…", "|scoring every sample", "", help=HELP["score"])
            return [score, *(self._latency(name, None, "") for name in self._runtimes), *self._rest(None, False)]
        return [
            _score(now.score, self._trace(lambda state: state.score.value)),
            *(self._latency(name, now.latency.get(name), now.unavailable.get(name, "")) for name in self._runtimes),
            *self._rest(now, False),
        ]

    def of_preview(self, now: Preview) -> list[Tile]:
        """Return the tiles of a step that is not applied."""
        score = now.score
        first = (
            _score(score, self._trace(lambda state: state.score.value, score.value))
            if score is not None
            else Tile(self._metric.capitalize(), "…", "|scoring the first samples", "", help=HELP["score"])
        )
        times = (
            self._latency(name, now.latency.get(name), now.unavailable.get(name, ""), staged=True)
            for name in self._runtimes
        )
        return [first, *times, *self._rest(now, True)]

    def _trace(self, read: Callable[[Measurement], float | None], now: float | None = None) -> str:
        values = [read(state) if state else None for state in self._past] + ([now] if now is not None else [])
        return theme.history_line(values, f"over {len(values)} states")

    def _latency(self, name: str, latency: Latency | None, why: str, staged: bool = False) -> Tile:
        title, explain = title_of(name), HELP["latency"]
        if latency is None:
            line = f"|cannot run this: {why[:80]}" if why else "|being timed"
            return Tile(title, "–" if why else "…", line, "", help=explain)
        # The ratio, not the time: states are timed in different minutes. What is no change is drawn as none.
        trace = self._trace(lambda state: _part(state.latency.get(name)), _part(latency) if staged else None)
        threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
        words = f"batch {latency.batch}, {threads}"
        if latency.verdict == "baseline":
            return Tile(title, formatting.latency(latency.median), f"|{words}", HOW["latency"], "", trace, explain)
        kind = {"faster": "good", "slower": "bad", "unknown": "unknown"}.get(latency.verdict, "")
        # The interval, or why it is unknown, has room in the open tile alone.
        words = formatting.verdict(latency)
        verdict, cut, rest = words.partition(": ") if latency.verdict == "unknown" else words.partition(" [")
        line = f"{verdict}|{cut.strip(': ')}{rest} · was {formatting.latency(latency.baseline_median)}"
        return Tile(title, formatting.latency(latency.median), line, HOW["latency"], kind, trace, explain)

    def _rest(self, now: Measurement | Preview | None, staged: bool) -> list[Tile]:
        size = now.bytes.total if now is not None and now.bytes is not None else None
        nonzero, macs = (now.nonzero, now.macs) if now is not None else (None, None)
        memory, energy = (now.peak_memory, now.energy) if isinstance(now, Measurement) else (None, None)
        stored = f"|of {formatting.count(now.params)} stored" if now is not None else "|"
        rows: list[tuple[str, str, float | None, Callable[[float], str], str, str, Callable[[Measurement], float]]] = [
            ("File size", "bytes", size, formatting.size, "smaller", "|to the byte", lambda m: m.bytes.total),
            ("Not zero", "nonzero", nonzero, formatting.count, "fewer", stored, lambda m: m.nonzero),
            ("MACs a sample", "macs", macs, formatting.count, "fewer", "", lambda m: m.macs),
            ("Peak memory", "peak_memory", memory, formatting.size, "less", "", lambda m: m.peak_memory),
            ("Energy", "energy", energy, formatting.joules, "less", "", lambda m: m.energy),
        ]
        return [self._quantity(*row, staged=staged) for row in rows]

    def _quantity(
        self,
        title: str,
        field: str,
        value: float | None,
        say: Callable[[float], str],
        word: str,
        more: str,
        read: Callable[[Measurement], float],
        *,
        staged: bool,
    ) -> Tile:
        if value is None:
            waits = "|when applied" if staged else "|being measured"
            return Tile(title, "…", waits, "", help=HELP[field])
        old = read(self._base) if self._base is not None else value
        line, verdict = _against(old, value, word, say) if len(self._past) > 1 or staged else ("", "")
        trace = self._trace(read, value if staged else None)
        if line:
            more = more.replace("|", "|· ", 1)
        return Tile(title, say(value), f"{line}{more}", HOW[field], verdict, trace, HELP[field])


def _part(latency: Latency | None) -> float | None:
    if latency is None:
        return None
    return 1 / latency.ratio if latency.verdict in ("faster", "slower") and latency.ratio else 1.0


def _score(score: Score, trace: str) -> Tile:
    how, title = "measured" if score.exact else "estimated", score.metric.capitalize()
    seen = f"all {score.total:,} validation samples" if score.exact else f"{score.n:,} of {score.total:,} samples"
    value, spread = formatting.score_value(score.value, score.unit), formatting.half_width(score)
    other = f" · {words}" if (words := formatting.elsewhere(score)) else ""
    if score.change == score.change_low == score.change_high == 0.0:
        return Tile(title, value, f"|{seen}{other}", how, "", trace, HELP["score"], spread)
    loss = score.change_high < 0 if score.higher_is_better else score.change_low > 0
    gain = score.change_low > 0 if score.higher_is_better else score.change_high < 0
    line = f"{formatting.points(score.change, score.unit)}|· {seen}{other}"
    return Tile(title, value, line, how, "bad" if loss else "good" if gain else "", trace, HELP["score"], spread)


def _against(old: float, new: float, word: str, say: Callable[[float], str]) -> tuple[str, str]:
    """Return how a quantity stands against the baseline's, in words, and whether that is good or bad."""
    if old == new or not new:
        return ("as the baseline" if old == new else "nothing left"), ""
    ratio = formatting.ratio(max(old, new) / min(old, new)) if old else ""
    if ratio in ("", formatting.ratio(1.0)):  # nothing that a ratio could show
        ratio = say(abs(new - old))
    return f"{ratio} {word if old > new else 'more'}", "good" if old > new else "bad"
