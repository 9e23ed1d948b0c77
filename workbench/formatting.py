"""How numbers are written for people: once, for panel, report, card and command line."""

from __future__ import annotations

import math

from workbench.measure import Latency, Measurement, Score


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
    return f"{value * 100:{sign}.2f} %" if unit == "%" else f"{value:{sign}.4g}"


NOT_KNOWN = "not known yet"


def score(found: Score) -> str:
    """Return 98.12 % (all 2,400), 98.1 % [97.6, 98.5] (812 of 2,400), or that the interval is not known yet."""
    value = score_value(found.value, found.unit)
    if found.exact:
        return f"{value} (all {found.total:,})"
    seen = f"{found.n:,} of {found.total:,}"
    if not found.known:
        return f"{value} (interval {NOT_KNOWN}; {seen})"
    factor = 100 if found.unit == "%" else 1
    return f"{value} [{found.low * factor:.3g}, {found.high * factor:.3g}] ({seen})"


def half_width(found: Score) -> str:
    """Return ± 0.42 in the unit that is shown, "" for an exact score, or that it is not known yet."""
    if found.exact:
        return ""
    if not found.known:
        return f"± {NOT_KNOWN}"
    return f"± {found.half_width * 100:.2f}" if found.unit == "%" else f"± {found.half_width:.2g}"


def change_interval(found: Score) -> str:
    """Return the 95 % interval of a score's change over the split as [-0.83, -0.01], or that it is not known yet."""
    return _interval(found.change_low, found.change_high, found.unit) if found.known else f"(interval {NOT_KNOWN})"


def elsewhere(found: Score) -> str:
    """Return the change that is to be expected on other data of the same kind, as a 95 % interval.

    It is "" for a score of which samples were left out, and for a baseline's own; "not known on other data" where the
    metric states no bounds or is one value of the whole split.
    """
    if not found.exact or found.population_low == found.population_high == 0.0:
        return ""
    if found.population_low is None or found.population_high is None:
        return "not known on other data"
    points = " points" if found.unit == "%" else ""
    return f"{_interval(found.population_low, found.population_high, found.unit)}{points} on other data (95 %)"


def _interval(low: float, high: float, unit: str) -> str:
    return f"[{low * 100:+.2f}, {high * 100:+.2f}]" if unit == "%" else f"[{low:+.3g}, {high:+.3g}]"


def points(value: float, unit: str) -> str:
    """Return a change as +0.12 points, or with four digits where the metric has no per cent."""
    return f"{value * 100:+.2f} points" if unit == "%" else f"{value:+.4g}"


def change(found: Score) -> str:
    """Return a score's change against the baseline, and what of it is to be expected on other data."""
    words = [points(found.change, found.unit), "" if found.exact else change_interval(found), elsewhere(found)]
    return " ".join(words[:2]).strip() + (f", {words[2]}" if words[2] else "")


def ratio(value: float) -> str:
    """Return 3.9 ×."""
    return f"{value:.3g} ×"


def verdict(found: Latency) -> str:
    """Return 1.92 × faster [1.85, 1.98], within noise with the interval, or unknown: the machine is busy."""
    if found.verdict == "baseline":
        return "baseline"
    interval = f"[{_three(found.ratio_low)}, {_three(found.ratio_high)}]"
    if found.verdict == "unknown":
        return f"unknown: {found.reason}" + ("" if found.busy else f" {interval}")
    word = {"slower": "× (slower)", "faster": "× faster", "within noise": "×, within noise"}[found.verdict]
    return f"{_three(found.ratio)} {word} {interval}"


def in_pairs(found: Latency) -> str:
    """Return 3.30 ms → 1.54 ms, 2.14 × faster [2.1, 2.2]: the two times and the ratio that is theirs."""
    if found.verdict == "baseline":
        return latency(found.median)
    return f"{latency(found.baseline_median)} → {latency(found.median)}, {verdict(found)}"


def latency(value: float) -> str:
    """Return a time below a minute with three digits, as ratios have, so that both agree when they are read."""
    for power, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if value < 999.5 * power:
            return f"{_three(value / power)} {unit}"
    return f"{_three(value)} s"


def _three(value: float) -> str:
    """Return a positive value with three digits, and no more than two behind the point."""
    return f"{value:.{min(max(2 - math.floor(math.log10(value)), 0), 2) if value > 0 else 2}f}"


def rows(found: Measurement) -> list[tuple[str, str, str]]:
    """Return what was measured of a state as (what, field of the measurement, value)."""
    return [
        ("score", "score", score(found.score)),
        ("change of the score", "score", change(found.score) if found.score.change or elsewhere(found.score) else "–"),
        *((f"latency, {runtime}", "latency", in_pairs(one)) for runtime, one in found.latency.items()),
        ("file", "bytes", size(found.bytes.total)),
        ("parameters", "params", count(found.params)),
        ("not zero", "nonzero", count(found.nonzero)),
        ("MACs a sample", "macs", count(found.macs)),
        ("peak memory", "peak_memory", size(found.peak_memory)),
        ("energy a sample", "energy", joules(found.energy)),
    ]
