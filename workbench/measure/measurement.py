"""The record of everything that was measured of one state, and the measuring of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from workbench.checkpoint.checkpoint import version_of
from workbench.checkpoint.facts import Facts
from workbench.errors import first_line
from workbench.jobs.progress import Progress
from workbench.measure.compute import count_macs, model_energy
from workbench.measure.evaluator import Evaluator
from workbench.measure.latency import Latency
from workbench.measure.memory import measure_peak
from workbench.measure.pairs import compare
from workbench.measure.reference import Reference
from workbench.measure.runtimes import RUNTIMES, Forward
from workbench.measure.score import Score
from workbench.measure.sequential import score
from workbench.measure.size import Size, measure_size
from workbench.steps import Context, State

# Counted once for each model; a parameter that was written to has another version.
_NONZERO: WeakKeyDictionary[nn.Module, dict[str, tuple[int, int]]] = WeakKeyDictionary()
HOW = {
    "score": "measured",
    "latency": "measured",
    "bytes": "measured",
    "params": "measured",
    "nonzero": "measured",
    "macs": "measured",
    "peak_memory": "measured",
    "energy": "modelled",
}


@dataclass(frozen=True)
class Measurement:
    """Everything known of one state. `HOW` says of each field whether it was measured or modelled.

    Attributes:
        score: On validation, with its interval.
        latency: By runtime, against the baseline.
        bytes: Size of the checkpoint file and its ledger.
        params: Number of parameters, tied ones once.
        nonzero: Parameters that are not zero.
        macs: Multiply-accumulates for one sample.
        peak_memory: Bytes, for the batch that latency is measured with.
        energy: Joules for one sample, modelled.
        notes: What the user has to know.
    """

    score: Score
    latency: Mapping[str, Latency]
    bytes: Size
    params: int
    nonzero: int
    macs: int
    peak_memory: int
    energy: float
    notes: tuple[str, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        return {**dataclasses.asdict(self), "how": HOW}

    @classmethod
    def read(cls, facts: Any) -> Measurement:
        """Return the record of plain JSON.

        Raises:
            WorkbenchError: A field is missing, of another type, NaN or out of range.
        """
        of = Facts(facts, "a measurement")
        unavailable = of.within("unavailable", {})
        return cls(
            score=Score.read(of.get("score")),
            latency={name: Latency.read(value) for name, value in of.within("latency").items()},
            bytes=Size.read(of.get("bytes")),
            params=of.whole("params"),
            nonzero=of.whole("nonzero"),
            macs=of.whole("macs"),
            peak_memory=of.whole("peak_memory"),
            energy=of.number("energy", 0.0),
            notes=of.texts("notes", ()),
            unavailable={name: unavailable.text(name) for name, _ in unavailable.items()},
        )


def count(state: State, overlay: Mapping[str, Tensor] | None = None) -> tuple[int, int]:
    """Return the number of parameters and of those that are not zero; tied ones count once."""
    return sum(value.numel() for value in state.model.parameters()), sum(count_nonzeros(state, overlay).values())


def count_nonzeros(state: State, overlay: Mapping[str, Tensor] | None = None) -> dict[str, int]:
    """Return how many values of each parameter are not zero; tied ones are there once."""
    overlay, known = overlay or {}, _NONZERO.setdefault(state.model, {})
    counts = {}
    for name, value in state.model.named_parameters():
        if name in overlay:
            counts[name] = int(torch.count_nonzero(overlay[name]))
            continue
        if known.get(name, (0, -1))[1] != version_of(value):
            known[name] = (int(torch.count_nonzero(value)), version_of(value))
        counts[name] = known[name][0]
    return counts


def emptied_notes(state: State, context: Context, nonzeros: Mapping[str, int]) -> list[str]:
    """Return a note on layers of which no weight is left, such as where a ranking of all layers together took them.

    Nothing gets through such a layer, whatever is trained afterwards: masks keep what was pruned at zero.

    Args:
        state: What is looked at.
        context: Gives the subject, whose own empty layers are nobody's loss.
        nonzeros: Of `count_nonzeros`.
    """
    before = count_nonzeros(State(context.subject.model))
    empty = {name for name, left in nonzeros.items() if not left and before.get(name, 1)}
    names = [layer.name for layer in context.layers(state.model) if layer.parameter in empty]
    return [f"{', '.join(names)}: no weight is left, so that nothing of what enters gets through"] if names else []


def measure(
    state: State,
    context: Context,
    evaluator: Evaluator,
    reference: Reference,
    baselines: Mapping[str, Forward],
    *,
    tolerance: float = 0.0,
    seconds: float = 1.0,
    batch: int = 1,
    known: Score | None = None,
) -> Measurement:
    """Return the full record of a state.

    Args:
        state: What is measured.
        context: Subject and progress.
        evaluator: Runs it on the split to score.
        reference: The baseline's results there.
        baselines: The baseline, prepared for every runtime to time.
        tolerance: Half-width of the score's interval that is enough; 0 scores every sample.
        seconds: Time for each runtime's latency.
        batch: Samples in one pass for latency and peak memory.
        known: The state's score, where it is known already.
    """
    progress, subject = context.progress, context.subject
    inputs = subject.task.example(batch)
    if state.model is subject.model:
        judged = reference.score
    elif known is not None:
        judged = known
    else:
        evaluator.anchor(state, quick=True)
        judged = score(evaluator.prepare(state), reference, tolerance, progress.part(0.0, 0.6, "score"))
    progress.update(0.6, "size")
    size = measure_size(state.model, state.codings, subject)
    macs = count_macs(state.model, context.example())
    latency, unavailable = time_runtimes(
        state, subject.model is state.model, inputs, baselines, seconds, progress.part(0.65, 1.0)
    )
    params, nonzero = count(state)
    notes = [*state.notes, *emptied_notes(state, context, count_nonzeros(state))]
    return Measurement(
        score=judged,
        latency=latency,
        bytes=size,
        params=params,
        nonzero=nonzero,
        macs=macs,
        peak_memory=measure_peak(state.model, inputs),
        energy=model_energy(state.model, state.codings, context.layers(state.model), macs, size.total),
        notes=(*notes, *([reference.metric.note] if reference.metric.note else [])),
        unavailable=unavailable,
    )


def time_runtimes(
    state: State,
    is_baseline: bool,
    inputs: tuple[Tensor, ...],
    baselines: Mapping[str, Forward],
    seconds: float,
    progress: Progress,
) -> tuple[dict[str, Latency], dict[str, str]]:
    """Return the latency on each runtime, and for each that cannot run the state, why not."""
    latency: dict[str, Latency] = {}
    unavailable: dict[str, str] = {}
    for number, (name, baseline) in enumerate(baselines.items()):
        progress.update(number / len(baselines), f"latency on {name}")
        try:
            candidate = baseline if is_baseline else RUNTIMES[name].prepare_there(state, inputs)
        except Exception as error:  # a runtime refuses a model in its own ways; the other numbers still stand
            unavailable[name] = first_line(error)
            continue
        latency[name] = compare(name, baseline, candidate, inputs, seconds=seconds, progress=progress)
    return latency, unavailable
