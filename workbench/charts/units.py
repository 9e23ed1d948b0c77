"""The unit in which an axis of bytes, counts or times is written."""

from __future__ import annotations


def byte_unit(largest: float) -> tuple[float, str]:
    """Return what to divide bytes by, and the name of the unit, for values up to `largest` (powers of ten)."""
    return _unit(largest, ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")), "bytes")


def count_unit(largest: float) -> tuple[float, str]:
    """Return what to divide counts by, and what to write, for values up to `largest`."""
    return _unit(largest, ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands")), "")


def joule_unit(largest: float) -> tuple[float, str]:
    """Return what to divide joules by, and the name of the unit, for values up to `largest`."""
    size, name = _unit(largest, ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")), "")
    return (size, name) if name else (1e-9, "nJ")


def _unit(largest: float, units: tuple[tuple[float, str], ...], plain: str) -> tuple[float, str]:
    return next(((size, name) for size, name in units if abs(largest) >= size), (1.0, plain))
