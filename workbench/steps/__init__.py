"""The methods. A new one is a new file with a registered step, and needs no line here."""

from workbench.registry import discover
from workbench.steps.bounds import Bounds
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.factorize.factorize import Factorize
from workbench.steps.factorize.merge_factors import MergeFactors
from workbench.steps.input.byte_input import ByteInput
from workbench.steps.input.grey_input import GreyInput
from workbench.steps.input.reduce_input_bits import ReduceInputBits
from workbench.steps.input.resize_input import ResizeInput
from workbench.steps.option import Option
from workbench.steps.prune.cut_channels import CutChannels
from workbench.steps.prune.find_ticket import FindTicket
from workbench.steps.prune.prune import Prune
from workbench.steps.prune.prune_blocks import PruneBlocks
from workbench.steps.prune.prune_channels import PruneChannels
from workbench.steps.prune.prune_channels_iteratively import PruneChannelsIteratively
from workbench.steps.prune.prune_gradually import PruneGradually
from workbench.steps.prune.prune_heads import PruneHeads
from workbench.steps.quantize.keep_signs import KeepSigns
from workbench.steps.quantize.quantize import Quantize
from workbench.steps.quantize.quantize_logarithmic import QuantizeLogarithmic
from workbench.steps.quantize.share_weights import ShareWeights
from workbench.steps.quantize.shorten_floats import ShortenFloats
from workbench.steps.quantize.train_quantized import TrainQuantized
from workbench.steps.repair.correct_bias import CorrectBias
from workbench.steps.repair.equalize import Equalize
from workbench.steps.repair.fold_norms import FoldNorms
from workbench.steps.repair.reconstruct import Reconstruct
from workbench.steps.repair.reestimate_norms import ReestimateNorms
from workbench.steps.repair.smooth import Smooth
from workbench.steps.replace.swap_activations import SwapActivations
from workbench.steps.share.tie_layers import TieLayers
from workbench.steps.state import State
from workbench.steps.step import KINDS, GraphStep, Need, Stage, Step, TrainingStep, WeightStep, candidate
from workbench.steps.store.entropy_code import EntropyCode
from workbench.steps.train.distill import Distill
from workbench.steps.train.fine_tune import FineTune
from workbench.steps.train.replace_head import ReplaceHead

discover(__name__, __path__)

__all__ = [
    "KINDS",
    "Bounds",
    "ByteInput",
    "Change",
    "Context",
    "CorrectBias",
    "CutChannels",
    "Distill",
    "EntropyCode",
    "Equalize",
    "Factorize",
    "FindTicket",
    "FineTune",
    "FoldNorms",
    "GraphStep",
    "GreyInput",
    "KeepSigns",
    "MergeFactors",
    "Need",
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
    "ReduceInputBits",
    "ReestimateNorms",
    "ReplaceHead",
    "ResizeInput",
    "ShareWeights",
    "ShortenFloats",
    "Smooth",
    "Stage",
    "State",
    "Step",
    "SwapActivations",
    "TieLayers",
    "TrainQuantized",
    "TrainingStep",
    "WeightStep",
    "candidate",
]
