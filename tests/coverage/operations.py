"""What is done to every net, and what must be right afterwards."""

from __future__ import annotations

import copy
import math
import tempfile
import time
import traceback
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

import workbench as wb
from tests.coverage import beside, masked
from tests.coverage.net import Net
from workbench.errors import first_line
from workbench.graph import Bypass
from workbench.graph.costs import macs_of_parameters
from workbench.steps import Context, State
from workbench.steps.prune import prune_blocks, prune_channels, prune_heads
from workbench.task.batch import leaves, outputs_of

TOLERANCE = 1e-9
RATIO = 0.5
NONE = "none"


class Wrong(Exception):  # noqa: N818  # what is wrong, not how it broke
    """A result that must be another one."""


@dataclass
class Trial:
    """A net with what several operations need of it.

    Attributes:
        net: What is tried.
        subject: It, with its task.
        facts: Numbers beside the outcome.
    """

    net: Net
    subject: wb.Subject
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        return Context(self.subject)

    def built(self, *steps: wb.Step) -> State:
        """Return the state after these steps."""
        state = State.of(self.subject)
        for step in steps:
            state = step.build(state, self.context)
        return state


def demand(holds: bool, what: str) -> None:
    """Raise `Wrong` where something does not hold."""
    if not holds:
        raise Wrong(what)


def inspect(trial: Trial) -> dict[str, Any]:
    """Facts of layers: all weights of two or more dimensions are there, and their products are counted."""
    model = trial.subject.model
    layers = trial.context.layers(model)
    seen = {layer.parameter for layer in layers}
    names = {id(value): name for name, value in model.named_parameters()}
    first = {names[id(model.get_parameter(name))] for name in seen}
    large = {name: value.numel() for name, value in model.named_parameters() if value.dim() > 1}
    macs, rest = macs_of_parameters(model, trial.context.example())
    counted = sum(layer.macs for layer in layers)
    demand(first == set(large), f"weights that are no layer: {sorted(set(large) - first)[:3]}")
    demand(
        math.isclose(counted, sum(macs.values()), rel_tol=1e-6),
        f"layers count {counted}, products {sum(macs.values())}",
    )
    total = sum(value.numel() for value in model.parameters())
    return {"layers": len(layers), "params": total, "macs": counted + rest, "seen": sum(large.values()) / total}


def channels(trial: Trial) -> dict[str, Any]:
    """Half of the channels of every group go; the smaller net is the masked one."""
    state, taken = _cut(trial, prune_channels, wb.PruneChannels(amount=RATIO))
    demand(bool(taken), "nothing was cut")
    facts = _left(trial, state.model)
    facts["reach"] = _reach(trial, state.model)
    facts["barred"] = sorted({note.partition(": not cut, ")[2] for note in state.notes if ": not cut, " in note})
    return facts


def heads(trial: Trial) -> dict[str, Any]:
    """Half of the attention heads go, then half of the channels."""
    state, taken = _cut(trial, prune_heads, wb.PruneHeads(amount=RATIO, importance="magnitude", ranking="local"))
    demand(bool(taken), "nothing was cut")
    facts = {"heads": sum(map(len, taken.values()))}
    both = wb.PruneChannels(amount=RATIO).build(state, trial.context)
    return {
        **facts,
        **_left(trial, both.model),
        "reach": _reach(trial, both.model),
        "heads left": _left(trial, state.model)["left"],
    }


def _cut(trial: Trial, module: Any, step: wb.Step) -> tuple[State, Mapping[str, Any]]:
    calls: list[tuple[nn.Module, Any, Mapping[str, Any]]] = []
    whole = module.without

    def without(state: State, model: nn.Module, groups: Any, remove: Any, context: Context) -> State:
        calls.append((model, groups, remove))
        return whole(state, model, groups, remove, context)

    with patch.object(module, "without", without):
        state = trial.built(step)
    if not calls:
        return state, {}
    model, groups, remove = calls[0]
    found = masked.difference(trial.subject.model, model, groups, remove, trial.context.example())
    demand(found <= TOLERANCE, f"smaller and masked differ by {found:.1e} in double precision")
    _runs(trial, state.model)
    return state, remove


def _runs(trial: Trial, model: nn.Module) -> None:
    with torch.no_grad():
        before = leaves(outputs_of(copy.deepcopy(trial.subject.model), trial.context.example()))
        after = leaves(outputs_of(copy.deepcopy(model).eval(), trial.context.example()))
    demand([v.shape for v in before] == [v.shape for v in after], "outputs have other shapes")
    demand(all(bool(value.isfinite().all()) for value in after), "outputs are not finite")


def _left(trial: Trial, model: nn.Module) -> dict[str, Any]:
    example = trial.context.example()
    (before, rest), (after, still) = (macs_of_parameters(one, example) for one in (trial.subject.model, model))
    sizes = [sum(value.numel() for value in one.parameters()) for one in (trial.subject.model, model)]
    return {
        "left": (sum(after.values()) + still) / max(sum(before.values()) + rest, 1),
        "params left": sizes[1] / sizes[0],
    }


def _reach(trial: Trial, smaller: nn.Module) -> float:
    """Return the share of multiply-accumulates with parameters whose tensor lost something."""
    return beside.reach(trial.subject.model, smaller, trial.context.example())


def blocks(trial: Trial) -> dict[str, Any]:
    """One residual branch goes; the rest computes what it did without."""
    found: list[Any] = []
    whole = prune_blocks.without_branches

    def without(traced: Any, gone: Any) -> Any:
        found.append((traced, gone))
        return whole(traced, gone)

    with patch.object(prune_blocks, "without_branches", without):
        state = trial.built(wb.PruneBlocks(blocks=1))
    traced, gone = found[0]
    wide, smaller = copy.deepcopy(traced).double(), copy.deepcopy(state.model).double()
    pairs = zip(
        *(masked.run_wide(one, trial.context.example()) for one in (_Evaluated(Bypass(wide, gone)), smaller)),
        strict=True,
    )
    worst = max(masked.relative(one, other) for one, other in pairs)
    demand(worst <= TOLERANCE, f"without the branch outputs differ by {worst:.1e}")
    fewer = sum(v.numel() for v in state.model.parameters()) < sum(v.numel() for v in trial.subject.model.parameters())
    demand(fewer, "no parameter went")
    return {"branches": len(trial.context.branches(trial.subject.model)[1])}


class _Evaluated(nn.Module):
    """A bypass as a module, which is what is run elsewhere."""

    def __init__(self, run: Bypass) -> None:
        super().__init__()
        self.bypass = run
        self.takes_its_inputs_flat = True

    def forward(self, *inputs: Tensor) -> Any:
        return self.bypass(*inputs)


def prune(trial: Trial) -> dict[str, Any]:
    """Half of all weights become zero, and no other changes."""
    state = trial.built(wb.Prune(amount=RATIO))
    before = dict(trial.subject.model.named_parameters())
    zeros = total = 0
    for name in state.pruned:
        value, old = state.parameter(name), before[name].detach()
        demand(bool(((value == old) | (value == 0)).all()), f"{name} has other values than before")
        zeros, total = zeros + int((value == 0).sum()), total + value.numel()
    demand(abs(zeros / total - RATIO) < 0.02, f"{zeros} of {total} are zero")
    _runs(trial, state.model)
    return {}


def _quantize(trial: Trial, bits: int) -> dict[str, Any]:
    state = trial.built(wb.Quantize(bits=bits))
    layers = trial.context.layers(trial.subject.model)
    demand(bool(state.codings), "nothing was quantized")
    for layer in layers:
        if layer.parameter not in state.codings:
            continue
        value, old = state.parameter(layer.parameter), trial.subject.model.get_parameter(layer.parameter).detach()
        rows, were = (tensor.movedim(layer.outputs, 0).flatten(1) for tensor in (value, old))
        demand(
            all(row.unique().numel() <= 2**bits for row in rows[:64]), f"{layer.name} has more than {2**bits} levels"
        )
        step = were.abs().amax(1) / (2 ** (bits - 1) - 1)
        off = (rows - were).abs().amax(1)
        demand(bool((off <= 0.51 * step + 1e-6).all()), f"{layer.name} is off by more than half of a step")
    _runs(trial, state.model)
    return {"quantized": len(state.codings) / len(layers)}


def weights8(trial: Trial) -> dict[str, Any]:
    """Weights on a grid of 8 bits."""
    return _quantize(trial, 8)


def weights4(trial: Trial) -> dict[str, Any]:
    """Weights on a grid of 4 bits."""
    return _quantize(trial, 4)


def activations(trial: Trial) -> dict[str, Any]:
    """Weights and activations on grids of 8 bits; outputs stay near those before."""
    state = trial.built(wb.Quantize(bits=8, activations=8))
    example = trial.context.example()
    with torch.no_grad():
        before, after = (leaves(outputs_of(copy.deepcopy(one), example)) for one in (trial.subject.model, state.model))
    off = max(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in zip(after, before, strict=True))
    demand(math.isfinite(off), "outputs are not finite")
    return {"off": off}


def export(trial: Trial) -> dict[str, Any]:
    """The net without half of its channels and with 8 bits, in all formats, each opened in a process of its own."""
    steps: list[wb.Step] = [wb.PruneChannels(amount=RATIO), wb.Quantize(bits=8)]
    try:
        trial.built(steps[0])
    except wb.WorkbenchError:
        steps = steps[1:]
    settings = wb.Settings(seconds=0.01, runtimes=("eager",))
    session = wb.Session(trial.subject, settings, threaded=False, autosave=None)
    try:
        session.extend(steps)
        with tempfile.TemporaryDirectory() as folder:
            return _exported(session, Path(folder))
    finally:
        session.close()


def _exported(session: wb.Session, folder: Path) -> dict[str, Any]:
    formats = ("safetensors", "pt2", "onnx")
    try:
        session.export(folder / "all", formats)
        return {"formats": list(formats)}
    except wb.WorkbenchError as error:
        good = []
        for name in formats:
            try:
                session.export(folder / name, (name,))
                good.append(name)
            except wb.WorkbenchError:
                continue
        raise wb.WorkbenchError(f"{', '.join(good) or 'no format'} written; {error}") from error


def compared(trial: Trial) -> dict[str, Any]:
    """What torch-pruning makes of the same net at the same ratio."""
    return beside.torch_pruning(trial.net.model(), trial.subject, RATIO)


OPERATIONS: dict[str, Callable[[Trial], dict[str, Any]]] = {
    "inspect": inspect,
    "channels": channels,
    "heads": heads,
    "blocks": blocks,
    "prune": prune,
    "8 bits": weights8,
    "4 bits": weights4,
    "activations": activations,
    "export": export,
}


def outcome(work: Callable[[Trial], dict[str, Any]], trial: Trial) -> dict[str, Any]:
    """Return the class of what came of an operation, with its numbers or what it said.

    Args:
        work: The operation.
        trial: What it is done to.
    """
    start = time.perf_counter()
    try:
        row = {"class": "OK", **work(trial)}
    except Wrong as error:
        row = {"class": "wrong", "why": str(error)}
    except wb.WorkbenchError as error:
        row = {"class": "clear", "why": str(error)}
    except Exception as error:  # which is what is looked for
        row = {"class": "raw", "why": f"{type(error).__name__}: {error}"[:600], "where": _where(error)}
    return {**row, "seconds": round(time.perf_counter() - start, 2)}


def _where(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]]


def tried(net: Net, only: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what comes of these operations on a net; "beside" is torch-pruning."""
    wanted = [name for name in (*OPERATIONS, "beside") if name in only]
    try:
        trial = Trial(net, net.subject())
    except wb.WorkbenchError as error:
        yield from ((name, {"class": "clear", "why": str(error), "seconds": 0.0}) for name in wanted)
        return
    except Exception as error:  # which is what is looked for
        failed = {"class": "raw", "why": first_line(error), "where": _where(error), "seconds": 0.0}
        yield from ((name, failed) for name in wanted)
        return
    for name in wanted:
        absent = (name == "heads" and not net.heads) or (name == "blocks" and not net.residual)
        work = OPERATIONS.get(name, compared)
        yield name, {"class": NONE, "seconds": 0.0} if absent else outcome(work, trial)
