"""How numbers are written for people: once, for panel, report, card and command line."""

from __future__ import annotations

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


def score(found: Score) -> str:
    """Return 98.12 % (all 2,400) or 98.1 % [97.6, 98.5] (812 of 2,400)."""
    value = score_value(found.value, found.unit)
    if found.exact:
        return f"{value} (all {found.total:,})"
    factor = 100 if found.unit == "%" else 1
    return f"{value} [{found.low * factor:.3g}, {found.high * factor:.3g}] ({found.n:,} of {found.total:,})"


def points(value: float, unit: str) -> str:
    """Return a change as +0.12 points, or with four digits where the metric has no per cent."""
    return f"{value * 100:+.2f} points" if unit == "%" else f"{value:+.4g}"


def ratio(value: float) -> str:
    """Return 3.9 ×."""
    return f"{value:.3g} ×"


def verdict(found: Latency) -> str:
    """Return 1.92 × faster [1.85, 1.98], or within noise with the interval."""
    if found.verdict == "baseline":
        return "baseline"
    interval = f"[{found.ratio_low:.2f}, {found.ratio_high:.2f}]"
    if found.verdict == "slower":
        return f"{found.ratio:.2f} × (slower) {interval}"
    word = "× faster" if found.verdict == "faster" else "×, within noise"
    return f"{found.ratio:.2f} {word} {interval}"


def rows(found: Measurement) -> list[tuple[str, str, str]]:
    """Return what was measured of a state as (what, field of the measurement, value)."""
    latency = []
    for runtime, one in found.latency.items():
        ratio_words = "" if one.verdict == "baseline" else f", {verdict(one)}"
        latency.append((f"latency, {runtime}", "latency", seconds(one.median) + ratio_words))
    return [
        ("score", "score", score(found.score)),
        *latency,
        ("file", "bytes", size(found.bytes.total)),
        ("parameters", "params", count(found.params)),
        ("not zero", "nonzero", count(found.nonzero)),
        ("MACs a sample", "macs", count(found.macs)),
        ("peak memory", "peak_memory", size(found.peak_memory)),
        ("energy a sample", "energy", joules(found.energy)),
    ]
