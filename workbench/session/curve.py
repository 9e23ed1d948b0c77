"""The figures of a training while it runs, thinned out so that a long training costs no more than a short one."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.jobs.progress import Figure

MOST = 1000  # points of one figure that are kept; more than a chart has pixels


class Curve:
    """Points of a training's figures, (part done, name, value), at most `MOST` of each.

    Where there would be more, every other one goes and from then on half as many are taken: reading them all after
    every batch costs the same however many batches there were.
    """

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[float, str, float]]] = {}
        self._every: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self.last = 0.0

    def add(self, done: float, figures: Sequence[tuple[Figure, float]]) -> bool:
        """Take the figures of one batch or epoch, and return whether any of them is a new point."""
        changed = False
        self.last = done
        for figure, value in figures:
            name = str(figure)
            points = self._points.setdefault(name, [])
            if points and points[-1] == (done, name, value):
                continue
            number = self._seen[name] = self._seen.get(name, -1) + 1
            if number % self._every.setdefault(name, 1):
                continue
            points.append((done, name, value))
            changed = True
            if len(points) > MOST:
                del points[1::2]
                self._every[name] *= 2
        return changed

    def points(self) -> tuple[tuple[float, str, float], ...]:
        """Return all points in the order of the training."""
        if len(self._points) == 1:
            return tuple(next(iter(self._points.values())))
        return tuple(
            sorted((point for points in self._points.values() for point in points), key=lambda point: point[0])
        )
