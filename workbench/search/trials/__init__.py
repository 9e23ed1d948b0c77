"""The planner of many-point work: which step is tried next, for how long, and where."""

from workbench.search.trials.run import run_trials
from workbench.search.trials.trial import Aim, Ground, Outcome

__all__ = ["Aim", "Ground", "Outcome", "run_trials"]
