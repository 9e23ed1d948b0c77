"""The Compression Workbench: compress PyTorch models by hand, with every number measured."""

from workbench.errors import Cancelled, WorkbenchError
from workbench.loading.load import load, load_model
from workbench.measure import Latency, Measurement, Score, Size
from workbench.model.layers import Layer
from workbench.model.subject import Subject
from workbench.registry import register
from workbench.session import Session, Settings
from workbench.steps import (
    CorrectBias,
    CutChannels,
    Distill,
    EntropyCode,
    Equalize,
    FindTicket,
    FineTune,
    FoldNorms,
    KeepSigns,
    Prune,
    PruneBlocks,
    PruneChannels,
    PruneChannelsIteratively,
    PruneGradually,
    PruneHeads,
    Quantize,
    QuantizeLogarithmic,
    Reconstruct,
    ReestimateNorms,
    ShareWeights,
    ShortenFloats,
    Smooth,
    Step,
    TrainQuantized,
)
from workbench.steps.recipe import Recipe
from workbench.task.metric import Metric
from workbench.task.task import Task

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "CorrectBias",
    "CutChannels",
    "Distill",
    "EntropyCode",
    "Equalize",
    "FindTicket",
    "FineTune",
    "FoldNorms",
    "KeepSigns",
    "Latency",
    "Layer",
    "Measurement",
    "Metric",
    "Prune",
    "PruneBlocks",
    "PruneChannels",
    "PruneChannelsIteratively",
    "PruneGradually",
    "PruneHeads",
    "Quantize",
    "QuantizeLogarithmic",
    "Recipe",
    "Reconstruct",
    "ReestimateNorms",
    "Score",
    "Session",
    "Settings",
    "ShareWeights",
    "ShortenFloats",
    "Size",
    "Smooth",
    "Step",
    "Subject",
    "Task",
    "TrainQuantized",
    "WorkbenchError",
    "load",
    "load_model",
    "register",
]
