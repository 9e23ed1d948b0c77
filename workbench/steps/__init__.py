"""The methods. A new one is a new file and a line in the table of kinds."""

from workbench.steps.find_ticket import FindTicket
from workbench.steps.fine_tune import FineTune
from workbench.steps.option import Option
from workbench.steps.prune import Prune
from workbench.steps.prune_channels import PruneChannels
from workbench.steps.prune_gradually import PruneGradually
from workbench.steps.quantize import Quantize
from workbench.steps.state import Context, State
from workbench.steps.step import Change, GraphStep, Step, TrainingStep, WeightStep, apply_changes, bookkeeping

KINDS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        Prune,
        PruneChannels,
        Quantize,
        PruneGradually,
        FindTicket,
        FineTune,
    )
}

__all__ = [
    "KINDS",
    "Change",
    "Context",
    "FindTicket",
    "FineTune",
    "GraphStep",
    "Option",
    "Prune",
    "PruneChannels",
    "PruneGradually",
    "Quantize",
    "State",
    "Step",
    "TrainingStep",
    "WeightStep",
    "apply_changes",
    "bookkeeping",
]
