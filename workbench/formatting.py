"""How numbers are written for people: once, for panel, report, card and command line."""

from __future__ import annotations

import math

from workbench.measure import Latency, Measurement, Score
from workbench.measure.runtimes import title_of


def count(value: float) -> str:
    """Return 12,345 or 1.23 M or 4.56 G."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.2f} {letter}"
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Return bytes as 512 B, 1.1 kB or 4.2 MB (powers of ten)."""
    for power, letter in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= power:
            return f"{value / power:.3g} {letter}" if abs(value) < 100 * power else f"{value / power:,.0f} {letter}"
    return f"{value:.0f} B"


def seconds(value: float) -> str:
    """Return 850 µs, 1.25 ms, 3.4 s or 2 min 5 s."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def joules(value: float) -> str:
    """Return 12.3 µJ and the like."""
    for power, letter in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if value >= power:
            return f"{value / power:.3g} {letter}"
    return f"{value / 1e-9:.3g} nJ"


def score_value(value: float, unit: str, signed: bool = False) -> str:
    """Return 98.1 % for a fraction, else four digits."""
    sign = "+" if signed else ""
    return minus(f"{value * 100:{sign}.2f} %" if unit == "%" else f"{value:{sign}.4g}")


def minus(text: str) -> str:
    """Return a number's text with the sign that people write, and not the hyphen that programs do."""
    return text.replace("-", "−")


def percent(share: float, digits: int = 0) -> str:
    """Return 24.8 % of 0.248."""
    return f"{minus(f'{share * 100:.{digits}f}')} %"


NOT_KNOWN = "not known yet"


def score(estimate: Score) -> str:
    """Return 98.12 % (all 2,400), 98.1 % [97.6, 98.5] (812 of 2,400), or that the interval is not known yet."""
    value = score_value(estimate.value, estimate.unit)
    if estimate.exact:
        return f"{value} (all {estimate.total:,})"
    seen = f"{estimate.n:,} of {estimate.total:,}"
    if not estimate.known:
        return f"{value} (interval {NOT_KNOWN}; {seen})"
    factor = 100 if estimate.unit == "%" else 1
    return minus(f"{value} [{estimate.low * factor:.3g}, {estimate.high * factor:.3g}] ({seen})")


def half_width(estimate: Score) -> str:
    """Return ± 0.42 in the unit that is shown, "" for an exact score, or that it is not known yet.

    Near a bound of the metric both ends are said, [0.0, 30.8]: no score is below 0 or above 100 %.
    """
    if estimate.exact:
        return ""
    if not estimate.known:
        return f"± {NOT_KNOWN}"
    width = estimate.half_width
    if estimate.unit == "%" and not width <= estimate.value <= 1 - width:
        return f"[{estimate.low * 100:.1f}, {estimate.high * 100:.1f}]"
    return f"± {estimate.half_width * 100:.2f}" if estimate.unit == "%" else f"± {estimate.half_width:.2g}"


def change_interval(estimate: Score) -> str:
    """Return the 95 % interval of a score's change over the split as [-0.83, -0.01], or that it is not known yet."""
    return (
        _interval(estimate.change_low, estimate.change_high, estimate.unit)
        if estimate.known
        else f"(interval {NOT_KNOWN})"
    )


def elsewhere(estimate: Score) -> str:
    """Return the change that is to be expected on other data of the same kind, as a 95 % interval.

    It is "" for a score of which samples were left out, and for a baseline's own; "not known on other data" where the
    metric states no bounds or is one value of the whole split.
    """
    if not estimate.exact or estimate.population_low == estimate.population_high == 0.0:
        return ""
    if estimate.population_low is None or estimate.population_high is None:
        return "not known on other data"
    points = " points" if estimate.unit == "%" else ""
    return f"{_interval(estimate.population_low, estimate.population_high, estimate.unit)}{points} on other data (95 %)"


def _interval(low: float, high: float, unit: str) -> str:
    return minus(f"[{low * 100:+.2f}, {high * 100:+.2f}]" if unit == "%" else f"[{low:+.3g}, {high:+.3g}]")


def points(value: float, unit: str) -> str:
    """Return a change as +0.12 points, or with four digits where the metric has no per cent."""
    if unit != "%":
        return minus(f"{value:+.4g}")
    rounded = round(value * 100, 2)
    return minus(f"{rounded:+.2f} points") if rounded else "0.00 points"


def change(estimate: Score) -> str:
    """Return a score's change against the baseline, and what of it is to be expected on other data."""
    words = [
        points(estimate.change, estimate.unit),
        "" if estimate.exact else change_interval(estimate),
        elsewhere(estimate),
    ]
    return " ".join(words[:2]).strip() + (f", {words[2]}" if words[2] else "")


def ratio(value: float) -> str:
    """Return 3.90 ×, with the digits that times have."""
    return f"{_three(value)} ×"


def verdict(timing: Latency) -> str:
    """Return 1.92 × faster [1.85, 1.98], 2.40 × slower [2.3, 2.5], within noise, or unknown: the machine is busy.

    What is not known has no interval: its ends would be read as one that is.
    """
    if timing.verdict == "baseline":
        return "baseline"
    if timing.verdict == "unknown":
        return f"unknown: {timing.reason}"
    if timing.verdict == "slower":
        low, high = (f"{_three(1 / end)}" if end else "∞" for end in (timing.ratio_high, timing.ratio_low))
        return f"{_three(1 / timing.ratio)} × slower [{low}, {high}]"
    word = "× faster" if timing.verdict == "faster" else "×, within noise"
    return f"{_three(timing.ratio)} {word} [{_three(timing.ratio_low)}, {_three(timing.ratio_high)}]"


def in_pairs(timing: Latency) -> str:
    """Return 3.30 ms → 1.54 ms, 2.14 × faster [2.1, 2.2]: the two times and the ratio that is theirs."""
    if timing.verdict == "baseline":
        return latency(timing.median)
    return f"{latency(timing.baseline_median)} → {latency(timing.median)}, {verdict(timing)}"


def latency(value: float) -> str:
    """Return a time below a minute with three digits, as ratios have, so that both agree when they are read."""
    for power, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if value < 999.5 * power:
            return f"{_three(value / power)} {unit}"
    return f"{_three(value)} s"


def _three(value: float) -> str:
    """Return a positive value with three digits, and no more than two behind the point."""
    return f"{value:.{min(max(2 - math.floor(math.log10(value)), 0), 2) if value > 0 else 2}f}"


def rows(measurement: Measurement) -> list[tuple[str, str, str]]:
    """Return what was measured of a state as (what, field of the measurement, value)."""
    return [
        ("score", "score", score(measurement.score)),
        (
            "change of the score",
            "score",
            change(measurement.score) if measurement.score.change or elsewhere(measurement.score) else "–",
        ),
        *(
            (f"latency, {title_of(runtime)}", "latency", in_pairs(timing))
            for runtime, timing in measurement.latency.items()
        ),
        ("file", "bytes", size(measurement.bytes.total)),
        ("parameters", "params", count(measurement.params)),
        ("not zero", "nonzero", count(measurement.nonzero)),
        ("MACs a sample", "macs", count(measurement.macs)),
        ("peak memory", "peak_memory", size(measurement.peak_memory)),
        ("input a sample", "input_bytes", size(measurement.input_bytes) if measurement.input_bytes else "–"),
        ("energy a sample", "energy", joules(measurement.energy)),
    ]
