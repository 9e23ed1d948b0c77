"""What a step is: a frozen declaration of one act of compression."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, within
from workbench.jobs.progress import Tick
from workbench.model.layers import Layer, choose, globs
from workbench.model.twin import twin
from workbench.registry import Registry
from workbench.steps.bounds import Bounds
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import Option, option, options
from workbench.steps.state import State
from workbench.task.batch import outputs_of
from workbench.task.task import Task

SHELVES = ("Prune", "Quantize", "Factorize", "Replace", "Share", "Input", "Store", "Repair", "Recover")
Axes = Mapping[str, tuple[Any, ...]]
TOLERANCE = 1e-3  # of outputs that are to stay the same, relative to the largest


class Need(StrEnum):
    """What a step works with beside the model."""

    TRAIN = "train data"
    CALIBRATION = "train or calibration data"
    LOSS = "a loss"
    GRAPH = "a graph that can be traced"


class Stage(IntEnum):
    """Where in a pipeline a search puts a step: what is cut comes before what is trained, and codes come last."""

    REPLACE = 0
    PRUNE = 1
    RECOVER = 2
    QUANTIZE = 3
    REFINE = 4  # trains what is on its grid already
    CODE = 5


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One act of compression, as plain values. What it needs besides is computed while it is built.

    A subclass is one method in one file: pure tensor functions, then the step that calls them. It gives the
    class facts below, its options as fields, and the one abstract method of its family (`WeightStep`,
    `GraphStep` or `TrainingStep`).

    Class attributes:
        kind: The name in a recipe.
        title: The name that people read.
        summary: One sentence on what it does and what it does not.
        also: Other words that people look for it by.
        shelf: Where people look for it: one of `SHELVES`, or a new one.
        position: Where it stands on its shelf.
        layer_kinds: Beginnings of the kinds of layers on which it can do something, () for all.
        strength: The field that a sensitivity scan varies, "" if the step cannot be scanned.
        amounts: Strengths that a scan tries when none are named.
        strength_counts_bits: Whether the strength is the width of a weight.
        scans: Whether a scan takes the parts of a model as "layers", or as coupled "groups" of channels.
        stage: Its place in a pipeline, None for what a search takes only where it is given.
        searched: Whether a search takes it unless it is told to; else it has to be named.
        axes: Fields besides the strength that a search varies, and the values that it tries; the first one is cheap.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    also: ClassVar[str] = ""
    shelf: ClassVar[str] = "Other"
    position: ClassVar[int] = 100
    layer_kinds: ClassVar[tuple[str, ...]] = ()
    strength: ClassVar[str] = ""
    amounts: ClassVar[tuple[float, ...]] = ()
    strength_counts_bits: ClassVar[bool] = False
    scans: ClassVar[str] = "layers"
    stage: ClassVar[Stage | None] = None
    searched: ClassVar[bool] = False
    axes: ClassVar[Axes] = {}

    layers: str = option("*", "Layers to change: names or globs, with commas between them.")
    exclude: str = option("", "Layers to leave alone: names or globs, with commas between them.", more=True)

    def __post_init__(self) -> None:
        for field in options(self):
            value = getattr(self, field.name)
            if field.name in ("layers", "exclude") and isinstance(value, list | tuple):
                value = ", ".join(str(name) for name in value)
            with within(self.title):
                object.__setattr__(self, field.name, field.check(value))

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Return what can be set, in the order of declaration."""
        return options(cls)

    @classmethod
    def strength_option(cls) -> Option:
        """Return the option that is the step's strength.

        Raises:
            WorkbenchError: It has none.
        """
        for field in options(cls):
            if field.name == cls.strength:
                return field
        raise WorkbenchError(f"{cls.title} has no strength that could be varied")

    def outside(self) -> str:
        """Return hex digits of what the step reads beside its options, state and data; "" if there is none.

        A path says where that lies and not what it is, so whatever is kept of the step's work is keyed by this too.
        """
        return ""

    def facts(self) -> dict[str, Any]:
        """Return the step as plain JSON: its kind and its fields."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return the step of `facts` (without the kind).

        Raises:
            WorkbenchError: A field is not known or its value not accepted.
        """
        known = [field.name for field in options(cls)]
        unknown = [name for name in facts if name not in known]
        if unknown:
            raise WorkbenchError(f"{cls.title} has no field {', '.join(unknown)}; it has {', '.join(known)}")
        return cls(**facts)

    def at_strength(self, strength: float) -> Self:
        """Return the same step at one strength."""
        field = self.strength_option()
        return replace(self, **{field.name: field.type(strength)})

    def with_strength(self, layers: str, strength: float) -> Self:
        """Return the same step for one part of the model at one strength."""
        return replace(self.at_strength(strength), layers=layers, exclude="")

    def chosen(self, rows: Sequence[Layer]) -> tuple[Layer, ...]:
        """Return the layers that the step speaks of.

        Raises:
            WorkbenchError: There are none, or none of a kind on which it can do something.
        """
        layers = choose(rows, self.layers, globs(self.exclude))
        if not any(map(self.acts_on, layers)):
            some = ", ".join(f"{layer.name} ({layer.kind})" for layer in layers[:3])
            raise WorkbenchError(
                f"{self.title} acts on layers of the kinds {', '.join(self.layer_kinds)}, not on {some}"
            )
        return layers

    def needs(self) -> frozenset[Need]:
        """Return what the step needs with its options as they are; a subclass adds its own to what these bring."""
        wanted = set()
        for field in dataclasses.fields(self):
            choices = field.metadata["choices"]
            chosen = choices.get(getattr(self, field.name)) if isinstance(choices, Mapping) else None
            if getattr(chosen, "needs_data", False):
                wanted.add(Need.CALIBRATION)
            if getattr(chosen, "needs_loss", False):
                wanted.add(Need.LOSS)
        return frozenset(wanted)

    def lacks(self, task: Task) -> str:
        """Return why the step cannot be done for a task, known before any work; "" if it can."""
        has = {
            Need.TRAIN: task.has("train"),
            Need.CALIBRATION: task.has("calibration"),
            Need.LOSS: task.loss is not None,
        }
        missing = [need for need in Need if need in self.needs() and not has.get(need, True)]
        return f"it needs {' and '.join(missing)}; the task has none" if missing else ""

    def acts_on(self, layer: Layer) -> bool:
        """Return whether the step can do something on a layer of this kind."""
        return not self.layer_kinds or layer.kind.startswith(self.layer_kinds)

    def bounds(self, weight: Tensor, layer: Layer) -> Bounds | None:
        """Return where the step cuts or clips a layer's weights, None where its options give no such marks.

        Args:
            weight: Of the layer, before the step.
            layer: Its facts.
        """
        return None

    def with_bounds(self, weight: Tensor, layer: Layer, low: float, high: float) -> Self:
        """Return the step whose `bounds` are as near to these as its options allow.

        Raises:
            WorkbenchError: The step has no bounds.
        """
        raise WorkbenchError(f"{self.title} has no bounds on the axis of weights")

    @property
    def overlays(self) -> bool:
        """Whether the step's whole effect is other values in the same tensors."""
        return False

    @abstractmethod
    def build(self, state: State, context: Context) -> State:
        """Return the state after the step. `state` and its model stay as they are.

        Raises:
            WorkbenchError: The step cannot be done on this model.
            Cancelled: It was told to stop.
        """


@dataclass(frozen=True, kw_only=True)
class WeightStep(Step):
    """A step that only gives parameters other values: weight -> weight."""

    @property
    def overlays(self) -> bool:
        return True

    @abstractmethod
    def changes(self, state: State, context: Context) -> dict[str, Change]:
        """Return the changed parameters by name. Nothing else is copied, so that a preview is cheap."""

    def remarks(self, state: State, context: Context) -> list[str]:
        """Return what people have to know of what `changes` does to a state, such as weights that it leaves alone."""
        return []

    def build(self, state: State, context: Context) -> State:
        with torch.no_grad():
            changed = state.with_changes(self.changes(state, context))
        context.same_layers(state.model, changed.model)
        return changed.with_notes(*self.remarks(state, context))


def candidate(state: State, step: Step, context: Context) -> tuple[State, dict[str, Tensor]]:
    """Return the state after a step, and the overlay if the step is one.

    Where there is an overlay, the state's model is still the one before the step; only its codings are new.
    """
    if not (isinstance(step, WeightStep) and step.overlays):
        return step.build(state, context), {}
    with torch.no_grad():
        changes = step.changes(state, context)
    overlay = {name: change.weight for name, change in changes.items()}
    return state.marked(changes).with_notes(*step.remarks(state, context)), overlay


def check_unchanged(before: nn.Module, after: nn.Module, context: Context) -> None:
    """Raise an error if a model that was written anew does not compute the same as before, but for rounding."""
    with torch.no_grad():
        wanted, got = (outputs_of(twin(model), context.example()) for model in (before, after))
    if not torch.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE * float(wanted.abs().max())):
        raise WorkbenchError("the changed model no longer computes the same, so it was not kept")


@dataclass(frozen=True, kw_only=True)
class GraphStep(Step):
    """A step that gives a new, physically different module."""

    scans: ClassVar[str] = "groups"


@dataclass(frozen=True, kw_only=True)
class TrainingStep(Step):
    """A step that trains: a generator of progress that leaves the best state it found."""

    @abstractmethod
    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        """Yield a `Tick` after every batch, and a `State` whenever a better one was found."""

    def build(self, state: State, context: Context) -> State:
        best = state
        for news in self.train(state, context):
            if isinstance(news, State):
                best = news
            else:
                context.progress.update(news.done, news.message, news.figures)
        return best


def _order(step: type[Step]) -> tuple[int, int]:
    shelf = SHELVES.index(step.shelf) if step.shelf in SHELVES else len(SHELVES)
    return shelf, step.position


KINDS: Registry[type[Step]] = Registry("step", Step, order=_order)
