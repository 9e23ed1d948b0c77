"""What a search may do: methods in their places of a pipeline, and how knobs become steps.

Nothing here knows a method: steps declare their place (`stage`), what is varied (`strength`, `axes`) and their needs.
What is cut comes before what is trained; each layer then gets its own strengths of what is done to layers alone; codes
come last.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.search.budget import budget_steps
from workbench.search.goal import Goal
from workbench.search.planner.parts import Choice
from workbench.search.planner.study import Knob
from workbench.search.sensitivity import targets
from workbench.steps import KINDS, Context, GraphStep, Stage, State, Step, TrainingStep, WeightStep
from workbench.task.task import Task

# What a strength of single layers makes smaller. Zeros are multiplied too, so that neither time nor MACs fall.
BY_LAYER = ("bytes", "energy")
MOST_EPOCHS = 3
EPOCHS = "epochs"
OFF, ON = "off", "on"


@dataclass(frozen=True)
class Space:
    """What a search may do.

    Attributes:
        kinds: Methods, in the order of a pipeline.
        layers: Layers that methods may change, as in a step.
        exclude: Which not.
        quantity: What proposals make small: the goal's first quantity that follows from a model.
    """

    kinds: tuple[str, ...]
    layers: str = "*"
    exclude: str = ""
    quantity: str = "bytes"

    @classmethod
    def of(
        cls,
        task: Task,
        goal: Goal,
        methods: Sequence[str] = (),
        forbid: Sequence[str] = (),
        layers: str = "*",
        exclude: str = "",
    ) -> Space:
        """Return what may be done for a task.

        Args:
            task: What cannot be done for lack of data or a loss is left out, or refused where it was named.
            goal: Says what is to be small.
            methods: Kinds that are taken besides the usual ones.
            forbid: Kinds that are not; globs.
            layers: Layers that may be changed.
            exclude: Which not.

        Raises:
            WorkbenchError: A kind is not known or has no place in a pipeline, lacks what it needs, or nothing is left.
        """
        for kind in methods:
            if kind not in KINDS or KINDS[kind].stage is None:
                placed = ", ".join(name for name, step in KINDS.items() if step.stage is not None)
                raise WorkbenchError(f"a search cannot take {kind}; it can take {placed}")
            if why := KINDS[kind]().lacks(task):
                raise WorkbenchError(f"{KINDS[kind].title}: {why}")
        for glob in forbid:
            if not fnmatch.filter(KINDS, glob):
                raise WorkbenchError(f"no method matches {glob}, which is forbidden; there are {', '.join(KINDS)}")
        kinds = [
            kind
            for kind, step in KINDS.items()
            if step.stage is not None
            and (step.searched or kind in methods)
            and not step().lacks(task)
            and not any(fnmatch.fnmatch(kind, glob) for glob in forbid)
        ]
        if not kinds:
            raise WorkbenchError("nothing is left that a search could do: forbid less, or name other methods")
        ordered = sorted(kinds, key=lambda kind: (KINDS[kind].stage or 0, not issubclass(KINDS[kind], GraphStep)))
        known = [name for name in goal.objectives if not name.startswith("latency:")]
        return cls(tuple(ordered), layers, exclude, known[0] if known else "macs")

    def _of_stage(self, *stages: Stage) -> list[type[Step]]:
        return [KINDS[kind] for kind in self.kinds if KINDS[kind].stage in stages]

    @property
    def by_layer(self) -> list[type[Step]]:
        """Methods of which every layer gets a strength of its own."""
        if self.quantity not in BY_LAYER:
            return []
        found = self._of_stage(Stage.PRUNE, Stage.QUANTIZE)
        return [kind for kind in found if kind.strength and kind.scans == "layers" and issubclass(kind, WeightStep)]

    @property
    def structural(self) -> list[type[Step]]:
        """Methods that are done to the whole model before it is trained: what is cut, and what training keeps."""
        found = [kind for kind in self._of_stage(Stage.REPLACE, Stage.PRUNE) if kind.strength]
        return [kind for kind in found if issubclass(kind, GraphStep) or self.quantity in BY_LAYER]

    @property
    def switched(self) -> list[type[Step]]:
        """Methods without degrees that are done to the whole model before it is trained, or not."""
        return [kind for kind in self._of_stage(Stage.REPLACE) if not kind.strength and issubclass(kind, GraphStep)]

    @property
    def recovery(self) -> type[Step] | None:
        """What trains a model that was cut."""
        return next(iter(self._trained(Stage.RECOVER)), None)

    @property
    def refinement(self) -> type[Step] | None:
        """What trains a model on its grid."""
        return next(iter(self._trained(Stage.REFINE)), None)

    def _trained(self, stage: Stage) -> list[type[Step]]:
        return [kind for kind in self._of_stage(stage) if issubclass(kind, TrainingStep)]

    def codes(self) -> tuple[Step, ...]:
        """Return what is done last, for a smaller file."""
        return tuple(self._made(kind) for kind in self._of_stage(Stage.CODE)) if self.quantity == "bytes" else ()

    def _made(self, kind: type[Step], **fields: object) -> Step:
        return kind(layers=self.layers, exclude=self.exclude, **fields)

    def part_trials(
        self, state: State, context: Context, done: Iterable[Step]
    ) -> dict[str, list[tuple[Mapping[str, float], tuple[Step, ...]]]]:
        """Return for each part every combination of strengths, the single methods first, and the steps that do it.

        Args:
            state: Whose parts.
            context: Its subject.
            done: Steps that led to it; a method that is among them is not done again.
        """
        before = {step.kind for step in done}
        kinds = [kind for kind in self.by_layer if kind.kind not in before]
        fitting = {kind.kind: set(self._parts(kind, state, context)) for kind in kinds}
        names = [layer.name for layer in context.layers(state.model) if any(layer.name in f for f in fitting.values())]
        found: dict[str, list[tuple[Mapping[str, float], tuple[Step, ...]]]] = {}
        for name in names:
            own = [kind for kind in kinds if name in fitting[kind.kind]]
            rows = []
            for strengths in itertools.product(*((None, *kind.amounts) for kind in own)):
                chosen = {kind.kind: s for kind, s in zip(own, strengths, strict=True) if s is not None}
                stages = [KINDS[kind].stage for kind in chosen]
                if chosen and len(set(stages)) == len(stages):  # of two ways to store a weight, one
                    rows.append((chosen, self.tail({name: chosen}, {})))
            found[name] = sorted(rows, key=lambda row: len(row[0]))
        return found

    def _parts(self, kind: type[Step], state: State, context: Context) -> list[str]:
        try:
            return [name for name, why in targets(state, self._made(kind), context).items() if not why]
        except WorkbenchError:  # no layer is of a kind that it acts on
            return []

    def tail(self, strengths: Mapping[str, Mapping[str, float]], axes: Mapping[str, float | str]) -> tuple[Step, ...]:
        """Return the steps that give each part its strengths, with codes behind.

        Args:
            strengths: Part to kind to strength.
            axes: Other fields of methods, as `kind.field` to a value.
        """
        steps: list[Step] = []
        for kind in self.by_layer:
            own = {part: chosen[kind.kind] for part, chosen in strengths.items() if kind.kind in chosen}
            if own:
                fields = {field: axes[key] for field in kind.axes if (key := f"{kind.kind}.{field}") in axes}
                steps += budget_steps(kind(**fields), own)  # type: ignore[arg-type]  # checked by the step
        return (*steps, *self.codes())

    def alternatives(self) -> list[dict[str, str]]:
        """Return dearer settings of the methods on layers, one field at a time, as `kind.field` to a value."""
        return [
            {f"{kind.kind}.{field}": value}
            for kind in self.by_layer
            if kind.stage == Stage.QUANTIZE
            for field, values in kind.axes.items()
            for value in values[1:]
        ]

    def base_knobs(self) -> dict[str, Knob]:
        """Return the knobs of what is done before training: an amount of each method, its axes, and epochs."""
        knobs: dict[str, Knob] = {}
        for kind in (*self.switched, *self.structural):
            whole = 0.75 if issubclass(kind, GraphStep) else 0.95
            knobs[kind.kind] = (0.0, whole) if kind.strength else (OFF, ON)
            for field, values in kind.axes.items():
                if issubclass(kind, GraphStep):
                    knobs[f"{kind.kind}.{field}"] = tuple(str(value) for value in values)
        if self.recovery is not None:
            knobs[EPOCHS] = tuple(str(number) for number in range(1, MOST_EPOCHS + 1))
        return knobs

    def base_seeds(self) -> list[dict[str, float | str]]:
        """Return settings of these knobs to begin with, the mildest first."""
        plain = {
            name: (knob[0] if isinstance(knob[0], str) else 0.0) for name, knob in self.base_knobs().items()
        }  # fmt: skip
        graphs = [kind.kind for kind in self.structural if issubclass(kind, GraphStep)]
        weights = [kind.kind for kind in self.structural if not issubclass(kind, GraphStep)]
        ladder = ((0.2, 0.6), (0.4, 0.6), (0.5, 0.75)) if weights else ((0.2, 0), (0.35, 0), (0.5, 0))
        seeds: list[dict[str, float | str]] = [
            {**plain, **dict.fromkeys(graphs[:1], cut), **dict.fromkeys(weights[:1], zeros)} for cut, zeros in ladder
        ]
        if weights:
            seeds.insert(1, {**plain, weights[0]: 0.8})
        return [*({**plain, kind.kind: ON} for kind in self.switched), *(seeds if self.structural else ())]

    def base(self, knobs: Mapping[str, float | str]) -> tuple[Step, ...]:
        """Return the steps of what is done before training, and the training."""
        steps: list[Step] = []
        for kind in (*self.switched, *self.structural):
            fields: dict[str, object] = {}
            for field, values in kind.axes.items():
                said = knobs.get(f"{kind.kind}.{field}", str(values[0]))
                fields[field] = next(value for value in values if str(value) == said)
            if kind.strength:
                amount = round(float(knobs.get(kind.kind, 0.0)), 3)
                if amount < 0.02:  # less than that is nothing that would be worth a training
                    continue
                fields[kind.strength] = amount
            elif knobs.get(kind.kind, OFF) == OFF:
                continue
            steps.append(self._made(kind, **fields))
        if steps and self.recovery is not None:
            steps.append(self._made(self.recovery, epochs=int(knobs.get(EPOCHS, 1))))
        return tuple(steps)

    def refined(self, steps: Sequence[Step], epochs: int) -> tuple[Step, ...]:
        """Return steps with training on the grid put in front of the codes."""
        if self.refinement is None:
            return tuple(steps)
        codes = [step for step in steps if step.stage == Stage.CODE]
        return (*(s for s in steps if s.stage != Stage.CODE), self._made(self.refinement, epochs=epochs), *codes)


def epochs_of(steps: Sequence[Step]) -> int:
    """Return how many epochs steps train in all."""
    return sum(int(getattr(step, EPOCHS, 0)) for step in steps if isinstance(step, TrainingStep))


def strengths_of(choices: Mapping[str, Choice]) -> dict[str, Mapping[str, float]]:
    """Return the strengths of parts that do not stay as they are."""
    return {name: choice.strengths for name, choice in choices.items() if choice.strengths}
