"""The numbers: score, latency, size, MACs and the rest, each against the baseline, of the state they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from operator import attrgetter
from threading import RLock

import ipywidgets as W

from widgets import theme
from widgets.view import View
from workbench import formatting
from workbench.measure import HOW, Latency, Measurement, Score
from workbench.measure.runtimes import title_of
from workbench.session.preview import Preview
from workbench.session.session import Session


class Tiles(View):
    """Tiles for the preview where there is one, else for the current state."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.state, self.html = W.HTML(), W.HTML()
        self.root = W.VBox([self.state, self.html])
        self.watch(self._show, "staged", "measurements", "history")

    def _show(self) -> None:
        session, base = self.session, self.session.measurements.get(0)
        preview = session.staged
        at = session.history.at
        where = "the untouched subject" if at == 0 else f"state {at} of branch {session.history.branch}"
        if preview is not None and not preview.error:
            self.state.value = (
                f"<p class='wb-state'><span class='wb-preview'>preview</span> of <b>{escape(preview.step.title)}</b> "
                f"on {escape(where)}; not applied yet</p>"
            )
            self.html.value = theme.tiles(_of_preview(preview, base, self._past()))
            return
        self.state.value = f"<p class='wb-state'>numbers of <b>{escape(where)}</b>, against the baseline</p>"
        measurement = session.measurements.get(at)
        self.html.value = theme.tiles(_of_measurement(measurement, base, self._past()) if measurement else [_waiting()])

    def _past(self) -> Past:
        """Return what was measured of the states from the subject to the current one, None where nothing was."""
        return [self.session.measurements.get(node.number) for node in self.session.history.path()]


Past = Sequence[Measurement | None]


def _trace(past: Past, read: Callable[[Measurement], float | None], now: float | None = None) -> str:
    values = [read(state) if state else None for state in past] + ([now] if now is not None else [])
    return theme.history_line(values, f"over {len(values)} states")


def _median(name: str) -> Callable[[Measurement], float | None]:
    return lambda state: state.latency[name].median if name in state.latency else None


def _waiting() -> str:
    return theme.tile("Measuring", "…", "scores every validation sample and times each runtime", "")


def _of_preview(preview: Preview, base: Measurement | None, past: Past) -> list[str]:
    score = preview.score
    tiles = [_score(score, _trace(past, lambda state: state.score.value, score.value if score else None))]
    tiles += [
        _latency(name, latency, _trace(past, _median(name), latency.median))
        for name, latency in preview.latency.items()
    ]
    tiles += [_missing(name, why) for name, why in preview.unavailable.items()]
    if not preview.latency and not preview.unavailable:
        tiles.append(theme.tile("Latency", "…", "timed after the first score", "measured"))
    total = preview.bytes.total if preview.bytes else 0
    tiles += _counts(total, preview.params, preview.nonzero, preview.macs, base, past, staged=True)
    # Tiles that come and go would move the others under the eye.
    tiles += [
        theme.tile(title, "…", "|measured when the step is applied", "") for title in ("Peak memory", "Energy a sample")
    ]
    return tiles


def _of_measurement(measurement: Measurement, base: Measurement | None, past: Past) -> list[str]:
    tiles = [_score(measurement.score, _trace(past, lambda state: state.score.value))]
    tiles += [_latency(name, latency, _trace(past, _median(name))) for name, latency in measurement.latency.items()]
    tiles += [_missing(name, why) for name, why in measurement.unavailable.items()]
    tiles += _counts(measurement.bytes.total, measurement.params, measurement.nonzero, measurement.macs, base, past)
    rest = (("Peak memory", "peak_memory", formatting.size), ("Energy a sample", "energy", formatting.joules))
    for title, field, say in rest:
        now, read = getattr(measurement, field), attrgetter(field)
        line = _times(read(base or measurement), now, "less")
        tiles.append(theme.tile(title, say(now), line, HOW[field], trace=_trace(past, read)))
    return tiles


def _score(score: Score | None, trace: str = "") -> str:
    if score is None:
        return theme.tile("Score", "…", "scoring the first samples", "estimated")
    how = "measured" if score.exact else "estimated"
    seen = f"all {score.total:,} validation samples" if score.exact else f"{score.n:,} of {score.total:,} samples"
    value = f"{formatting.score_value(score.value, score.unit)} {formatting.half_width(score)}".rstrip()
    other = f" · {words}" if (words := formatting.elsewhere(score)) else ""
    if score.change == score.change_low == score.change_high == 0.0:
        return theme.tile(score.metric.capitalize(), value, f"|{seen}{other}", how, trace=trace)
    loss = score.change_high < 0 if score.higher_is_better else score.change_low > 0
    gain = score.change_low > 0 if score.higher_is_better else score.change_high < 0
    line = f"{formatting.points(score.change, score.unit)}|· {seen}{other}"
    verdict = "bad" if loss else "good" if gain else ""
    return theme.tile(score.metric.capitalize(), value, line, how, verdict, trace)


def _latency(name: str, latency: Latency, trace: str = "") -> str:
    kind = {"faster": "good", "slower": "bad"}.get(latency.verdict, "")
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    words = f"batch {latency.batch}, {threads}"
    if latency.verdict != "baseline":
        words = f"from {formatting.latency(latency.baseline_median)}, {words}"
    line = f"|{words}" if latency.verdict == "baseline" else f"{formatting.verdict(latency)}|· {words}"
    return theme.tile(title_of(name), formatting.latency(latency.median), line, HOW["latency"], kind, trace)


def _missing(name: str, why: str) -> str:
    return theme.tile(title_of(name), "–", f"|cannot run this: {why[:80]}", "")


def _counts(
    total: int, params: int, nonzero: int, macs: int, base: Measurement | None, past: Past, staged: bool = False
) -> list[str]:
    def trace(read: Callable[[Measurement], float | None], now: float) -> str:
        return _trace(past, read, now if staged else None)

    old: Mapping[str, float] = {
        "bytes": base.bytes.total if base else total,
        "nonzero": base.nonzero if base else nonzero,
        "macs": base.macs if base else macs,
    }
    return [
        theme.tile(
            "File size",
            formatting.size(total),
            f"{_times(old['bytes'], total, 'smaller')}|· to the byte",
            HOW["bytes"],
            trace=trace(lambda state: state.bytes.total, total),
        ),
        theme.tile(
            "Parameters not zero",
            formatting.count(nonzero),
            f"{_times(old['nonzero'], nonzero, 'fewer')}|· of {formatting.count(params)} stored",
            HOW["nonzero"],
            trace=trace(lambda state: state.nonzero, nonzero),
        ),
        theme.tile(
            "MACs a sample",
            formatting.count(macs),
            _times(old["macs"], macs, "fewer"),
            HOW["macs"],
            trace=trace(lambda state: state.macs, macs),
        ),
    ]


def _times(old: float, new: float, word: str) -> str:
    if old == new or not new:
        return "as the baseline" if old == new else ""
    return f"{formatting.ratio(old / new)} {word}" if old > new else f"{formatting.ratio(new / old)} more"
