"""A contest's result: who ranked, how the score went, and how alike the rankings are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import WorkbenchError
from workbench.measure import Score

Units = Literal["channels", "weights"]


@dataclass(frozen=True)
class Stop:
    """One point of the way along a ranking.

    Attributes:
        amount: Part of the units that was to go.
        score: On validation.
    """

    amount: float
    score: Score


@dataclass(frozen=True)
class Entry:
    """One criterion in a contest.

    Attributes:
        criterion: Its kind.
        title: What people read.
        seconds: How long its ranking took.
        curve: The scores when it is followed, by rising amount; () where it could not rank.
        reason: Why it could not rank, or what follows has no score; "" if all is well.
    """

    criterion: str
    title: str
    seconds: float = 0.0
    curve: tuple[Stop, ...] = ()
    reason: str = ""

    @property
    def mean(self) -> float:
        """The mean score along the way so far, in the metric's unit; NaN where there is none."""
        return sum(stop.score.value for stop in self.curve) / len(self.curve) if self.curve else float("nan")

    def after(self, stop: Stop) -> Entry:
        """Return the entry with one stop more, in its place by the amount."""
        stops = {known.amount: known for known in (*self.curve, stop)}
        return dataclasses.replace(self, curve=tuple(stops[amount] for amount in sorted(stops)))

    def refused(self, reason: str) -> Entry:
        """Return the entry as one that is out: a mean over a part of the way would be that of the mildest cuts."""
        return dataclasses.replace(self, curve=(), reason=reason)


@dataclass(frozen=True)
class Contest:
    """A contest's result.

    Attributes:
        units: "channels" or "weights".
        ranking: "local", the same part of every group or layer goes, or "global".
        parts: The groups or weights that were ranked, and how many units each has.
        amounts: Where the scores were measured.
        baseline: The baseline's score.
        entries: The criteria, in the order of their table.
        correlations: Spearman's rank correlation, -1 to 1, of every two entries (both orders and each with itself), the
            mean over parts by their number of units; None where one of the two gives all units the same rank, or none.
    """

    units: Units
    ranking: str
    parts: tuple[tuple[str, int], ...]
    amounts: tuple[float, ...]
    baseline: Score
    entries: tuple[Entry, ...] = ()
    correlations: tuple[tuple[float | None, ...], ...] = ()

    @property
    def order(self) -> tuple[Entry, ...]:
        """The entries that ranked, the one that keeps the score best first."""
        sign = -1.0 if self.baseline.higher_is_better else 1.0
        return tuple(sorted((entry for entry in self.entries if entry.curve), key=lambda entry: sign * entry.mean))

    def facts(self) -> dict[str, Any]:
        """Return the contest as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Contest:
        """Return the contest of plain JSON.

        Raises:
            WorkbenchError: It is none.
        """
        try:
            entries = tuple(
                Entry(**{**entry, "curve": tuple(Stop(s["amount"], Score(**s["score"])) for s in entry["curve"])})
                for entry in facts["entries"]
            )
            return cls(
                facts["units"],
                facts["ranking"],
                tuple((str(name), int(count)) for name, count in facts["parts"]),
                tuple(facts["amounts"]),
                Score(**facts["baseline"]),
                entries,
                tuple(tuple(row) for row in facts["correlations"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WorkbenchError(f"this is no importance contest: {error!r} is missing or wrong") from error
