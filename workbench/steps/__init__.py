"""The methods. A new one is a new file and a line in the table of kinds."""

from workbench.steps.fine_tune import FineTune
from workbench.steps.option import Option
from workbench.steps.prune import Prune
from workbench.steps.prune_channels import PruneChannels
from workbench.steps.quantize import Quantize
from workbench.steps.state import Context, State
from workbench.steps.step import Change, GraphStep, Step, TrainingStep, WeightStep, apply_changes, bookkeeping

KINDS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        Prune,
        PruneChannels,
        Quantize,
        FineTune,
    )
}

__all__ = [
    "KINDS",
    "Change",
    "Context",
    "FineTune",
    "GraphStep",
    "Option",
    "Prune",
    "PruneChannels",
    "Quantize",
    "State",
    "Step",
    "TrainingStep",
    "WeightStep",
    "apply_changes",
    "bookkeeping",
]
