"""Importance contest: every criterion ranks the same units, and the score is measured as each ranking is followed."""

from workbench.search.contest.correlation import rank_correlation
from workbench.search.contest.result import Contest, Entry, Stop
from workbench.search.contest.run import hold_contest

__all__ = ["Contest", "Entry", "Stop", "hold_contest", "rank_correlation"]
