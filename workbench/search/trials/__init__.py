"""The engine of all that tries much: which recipe is tried next on a state, for how long, and where."""

from workbench.search.trials.run import run_trials
from workbench.search.trials.trial import Outcome, Tolerance, Trial, TrialContext

__all__ = ["Outcome", "Tolerance", "Trial", "TrialContext", "run_trials"]
