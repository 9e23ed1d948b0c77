"""The methods. A new one is a new file and a line in the table of kinds."""

from workbench.steps.bounds import Bounds
from workbench.steps.correct_bias import CorrectBias
from workbench.steps.cut_channels import CutChannels
from workbench.steps.distill import Distill
from workbench.steps.entropy_code import EntropyCode
from workbench.steps.equalize import Equalize
from workbench.steps.find_ticket import FindTicket
from workbench.steps.fine_tune import FineTune
from workbench.steps.fold_norms import FoldNorms
from workbench.steps.keep_signs import KeepSigns
from workbench.steps.option import Option
from workbench.steps.prune import Prune
from workbench.steps.prune_blocks import PruneBlocks
from workbench.steps.prune_channels import PruneChannels
from workbench.steps.prune_channels_iteratively import PruneChannelsIteratively
from workbench.steps.prune_gradually import PruneGradually
from workbench.steps.prune_heads import PruneHeads
from workbench.steps.quantize import Quantize
from workbench.steps.quantize_logarithmic import QuantizeLogarithmic
from workbench.steps.reconstruct import Reconstruct
from workbench.steps.reestimate_norms import ReestimateNorms
from workbench.steps.share_weights import ShareWeights
from workbench.steps.shorten_floats import ShortenFloats
from workbench.steps.smooth import Smooth
from workbench.steps.state import Context, State
from workbench.steps.step import Change, GraphStep, Step, TrainingStep, WeightStep, apply_changes, bookkeeping
from workbench.steps.train_quantized import TrainQuantized

KINDS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        Prune,
        PruneChannels,
        CutChannels,
        PruneHeads,
        PruneBlocks,
        Quantize,
        QuantizeLogarithmic,
        ShareWeights,
        KeepSigns,
        ShortenFloats,
        EntropyCode,
        FoldNorms,
        Equalize,
        Smooth,
        Reconstruct,
        CorrectBias,
        ReestimateNorms,
        FineTune,
        Distill,
        TrainQuantized,
        PruneGradually,
        FindTicket,
        PruneChannelsIteratively,
    )
}

__all__ = [
    "KINDS",
    "Bounds",
    "Change",
    "Context",
    "CorrectBias",
    "CutChannels",
    "Distill",
    "EntropyCode",
    "Equalize",
    "FindTicket",
    "FineTune",
    "FoldNorms",
    "GraphStep",
    "KeepSigns",
    "Option",
    "Prune",
    "PruneBlocks",
    "PruneChannels",
    "PruneChannelsIteratively",
    "PruneGradually",
    "PruneHeads",
    "Quantize",
    "QuantizeLogarithmic",
    "Reconstruct",
    "ReestimateNorms",
    "ShareWeights",
    "ShortenFloats",
    "Smooth",
    "State",
    "Step",
    "TrainQuantized",
    "TrainingStep",
    "WeightStep",
    "apply_changes",
    "bookkeeping",
]
