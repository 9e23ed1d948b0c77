"""The search for recipes that meet a goal: what is proposed, judged, trained and compared at the end."""

from workbench.search.planner.candidate import Candidate
from workbench.search.planner.findings import Findings, Mattered
from workbench.search.planner.space import Space

__all__ = ["Candidate", "Findings", "Mattered", "Space"]
