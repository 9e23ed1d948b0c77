"""The Compression Workbench: compress PyTorch models by hand, with every number measured."""

from workbench.errors import Cancelled, WorkbenchError
from workbench.loading.load import load, load_model
from workbench.measure import Latency, Measurement, Score, Size
from workbench.model.layers import Layer
from workbench.model.subject import Subject
from workbench.registry import register
from workbench.search.goal import Goal
from workbench.session import Session, Settings
from workbench.steps import (
    KINDS,
    ByteInput,
    CorrectBias,
    CutChannels,
    Distill,
    EntropyCode,
    Equalize,
    Factorize,
    FindTicket,
    FineTune,
    FoldNorms,
    GreyInput,
    KeepSigns,
    MergeFactors,
    Prune,
    PruneBlocks,
    PruneChannels,
    PruneChannelsIteratively,
    PruneGradually,
    PruneHeads,
    Quantize,
    QuantizeLogarithmic,
    Reconstruct,
    ReduceInputBits,
    ReestimateNorms,
    ReplaceHead,
    ResizeInput,
    ShareWeights,
    ShortenFloats,
    Smooth,
    Step,
    SwapActivations,
    TieLayers,
    TrainQuantized,
)
from workbench.steps.recipe import Recipe
from workbench.task.metric import Metric
from workbench.task.task import Task

__version__ = "0.1.0"


def __getattr__(name: str) -> type[Step]:
    """Return a registered step by the name of its class, so that code that a session gives runs with others' too."""
    for step in KINDS.values():
        if step.__name__ == name:
            return step
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


__all__ = [
    "ByteInput",
    "Cancelled",
    "CorrectBias",
    "CutChannels",
    "Distill",
    "EntropyCode",
    "Equalize",
    "Factorize",
    "FindTicket",
    "FineTune",
    "FoldNorms",
    "Goal",
    "GreyInput",
    "KeepSigns",
    "Latency",
    "Layer",
    "Measurement",
    "MergeFactors",
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
    "ReduceInputBits",
    "ReestimateNorms",
    "ReplaceHead",
    "ResizeInput",
    "Score",
    "Session",
    "Settings",
    "ShareWeights",
    "ShortenFloats",
    "Size",
    "Smooth",
    "Step",
    "Subject",
    "SwapActivations",
    "Task",
    "TieLayers",
    "TrainQuantized",
    "WorkbenchError",
    "load",
    "load_model",
    "register",
]
