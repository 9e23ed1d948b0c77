"""Reconstruction: what is left of a layer is fitted anew to what the whole layer gave, by least squares.

He, Zhang, Sun: "Channel Pruning for Accelerating Very Deep Neural Networks", 2017, sections 3.1 and 3.2: layers follow
one another in the order of the forward pass. Each reads what the compressed layers before it give and is to give what
the uncompressed model gave there, so that errors are made up for instead of piling up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.errors import WorkbenchError
from workbench.jobs.turn import TURN
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.calibration import BATCH, CONVOLUTIONS, calls_in, damped, patches, samples_at_once
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.compensation import least_squares
from workbench.steps.state import State
from workbench.steps.step import Need, WeightStep
from workbench.task.batch import call


class Reached(BaseException):
    """Ends a forward pass at the layer that was asked for. Not an `Exception`, which a traced module would print."""


class Sums:
    """Sums of products over rows of inputs x and of gaps, from which least squares follows."""

    def __init__(self) -> None:
        self.second, self.cross, self.count = torch.tensor(0.0), torch.tensor(0.0), 0

    def add(self, rows: Tensor, gaps: Tensor) -> None:
        """Take in rows.

        Args:
            rows: x, [groups, n, d].
            gaps: What is missing at the outputs, [groups, n, out / groups].
        """
        self.second = self.second + torch.bmm(rows.mT, rows).double()
        self.cross = self.cross + torch.bmm(gaps.mT, rows).double()
        self.count += rows.shape[1]

    def fitted(self, weight: Tensor, keep: Tensor, damping: float) -> Tensor:
        """Return the weights with the least squared gap among those that are zero where not kept.

        Args:
            weight: As it is, [out, d].
            keep: Of its shape.
            damping: Pull towards the weight as it is, as a part of the mean square of the inputs.
        """
        second = damped(self.second / self.count, damping)
        step = torch.linalg.solve(second, self.cross / self.count, left=False)
        best = weight.double() + step.flatten(0, 1)
        # Without a mask the optimum is free; with one, the best within it is the nearest to it in the same squares.
        return best if bool(keep.all()) else least_squares(best, keep, second)


def output_rows(module: nn.Module, outputs: Tensor) -> Tensor:
    """Return a layer's outputs in the order of `patches`, [groups, n, out / groups].

    Args:
        module: A convolution or a linear layer.
        outputs: [N, C, ...] of a convolution, [..., out] of a linear layer.
    """
    if not isinstance(module, CONVOLUTIONS):
        return outputs.reshape(1, -1, outputs.shape[-1])
    batch = outputs if outputs.ndim == len(module.kernel_size) + 2 else outputs.unsqueeze(0)
    grouped = batch.reshape(len(batch), module.groups, -1, *batch.shape[2:])
    return torch.movedim(grouped, (1, 2), (0, -1)).flatten(1, -2)


def same_outputs(module: nn.Module, whole: nn.Module | None) -> bool:
    """Return whether two are layers of one type that can be fitted, with as many outputs."""
    fits = isinstance(module, (nn.Linear, *CONVOLUTIONS)) and type(module) is type(whole)
    return fits and whole is not None and len(module.get_parameter("weight")) == len(whole.get_parameter("weight"))


def called_once(model: nn.Module, names: Iterable[str], inputs: tuple[Tensor, ...]) -> list[str]:
    """Return those of the named modules that a forward pass calls exactly once, in its order."""
    calls = calls_in(model, names, inputs)
    return [name for name in dict.fromkeys(calls) if calls.count(name) == 1]


def until(model: nn.Module, name: str) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor] | None]:
    """Return what runs a model up to a module, and gives that one's input and output; None where it is not called."""
    watched = twin(model)
    caught: list[tuple[Tensor, Tensor]] = []

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        caught.append(((args or tuple(kwargs.values()))[0], output))
        raise Reached

    watched.get_submodule(name).register_forward_hook(hook, with_kwargs=True)

    def forward(inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor] | None:
        with suppress(Reached):
            call(watched, inputs)
        return caught.pop() if caught else None

    return forward


@register
@dataclass(frozen=True, kw_only=True)
class Reconstruct(WeightStep):
    """Fits layers anew, one after the other, to give what they gave before any compression. No training."""

    kind: ClassVar[str] = "reconstruct"
    title: ClassVar[str] = "Reconstruct layers"
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 4
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear")
    summary: ClassVar[str] = (
        "Fits what is left of each layer by least squares to what the uncompressed layer gave on train data. It takes "
        "seconds to minutes and brings back much of what pruning took, for when nobody can train. Zeros stay zero."
    )

    samples: int = option(1000, "Train samples to look at, drawn by the seed.", unit="samples", low=1, high=1_000_000)
    damping: float = option(
        1e-4, "Pull towards the weights as they are; more where samples are few.", low=0.0, high=10.0, more=True
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.CALIBRATION}

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        original = context.subject.model
        names = self._fitting(state, context)
        model = sharing_copy(state.model)
        task = context.subject.task
        data = task.split("train" if task.has("train") else "calibration")
        drawn = torch.split(torch.randperm(len(data), generator=context.generator())[: self.samples], BATCH)
        changes: dict[str, Change] = {}
        for number, name in enumerate(names):
            share = context.progress.part(number / len(names), (number + 1) / len(names), name)
            batches = (data.batch(part.tolist())[0] for part in share.over(drawn, len(drawn), "fitting"))
            wanted = until(original, state.origin(name))
            for parameter, value in self._fitted(model, name, wanted, batches, state.pruned).items():
                changes[parameter] = Change(value)
        return changes

    def _fitting(self, state: State, context: Context) -> list[str]:
        """Return the layers that can be fitted, in the order of the forward pass."""
        original = dict(context.subject.model.named_modules())
        chosen = self.chosen(context.layers(state.model))
        coded = [layer.name for layer in chosen if layer.parameter in state.codings]
        if coded or quantizers(state.model):
            what = ", ".join(coded[:3]) or "activations"
            raise WorkbenchError(f"{self.title}: {what} are on grids that would no longer fit; put {self.kind} before")
        for name, module in state.model.named_modules():
            if isinstance(module, nn.Identity) and isinstance(original.get(state.origin(name)), _BatchNorm):
                raise WorkbenchError(f"{self.title}: {name} is folded into a layer; put {self.kind} before fold_norms")
        # Of smaller inputs a layer gives fewer places, which are none of those before.
        shapes = {layer.name: layer.output for layer in context.layers(context.subject.model)}
        tensors = [id(value) for _, value in state.model.named_parameters(remove_duplicate=False)]
        names = [
            layer.name
            for layer in chosen
            if layer.is_whole
            and same_outputs(state.model.get_submodule(layer.name), original.get(state.origin(layer.name)))
            and layer.output == shapes.get(state.origin(layer.name))
            and tensors.count(id(state.model.get_parameter(layer.parameter))) == 1
        ]
        example = context.example()
        both = set(called_once(context.subject.model, map(state.origin, names), example))
        names = [name for name in called_once(state.model, names, example) if state.origin(name) in both]
        if not names:
            raise WorkbenchError(
                f"{self.title}: none of {', '.join(layer.name for layer in chosen[:3])} is a convolution or a linear "
                "layer that is called once and has as many outputs as in the uncompressed model, at as many places"
            )
        return names

    def _fitted(
        self,
        model: nn.Module,
        name: str,
        wanted: Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor] | None],
        batches: Iterable[tuple[Tensor, ...]],
        pruned: frozenset[str],
    ) -> dict[str, Tensor]:
        """Fit one layer in place, and return its new parameters by name."""
        layer, sums = model.get_submodule(name), Sums()
        mine = until(model, name)
        weight, bias = layer.get_parameter("weight"), dict(layer.named_parameters(recurse=False)).get("bias")
        for inputs in batches:
            with TURN, torch.no_grad():
                own, whole = mine(inputs), wanted(inputs)
                if own is None or whole is None:
                    continue  # a net with branches does not call every layer for every batch
                own_inputs, gap = own[0], whole[1] - own[1]
                size = samples_at_once(layer, own_inputs)
                for one, other in zip(torch.split(own_inputs, size), torch.split(gap, size), strict=True):
                    sums.add(_with_one(patches(layer, one), bias), output_rows(layer, other))
        if not sums.count:
            return {}
        rows = weight.detach().flatten(1)
        keep = rows != 0 if f"{name}.weight" in pruned else torch.ones_like(rows, dtype=torch.bool)
        if bias is not None:
            rows = torch.cat([rows, bias.detach()[:, None]], 1)
            keep = torch.cat([keep, keep.new_ones(len(keep), 1)], 1)
        best = sums.fitted(rows, keep, self.damping)
        width = weight[0].numel()
        fitted = {"weight": best[:, :width].view_as(weight).to(weight.dtype)}
        if bias is not None:
            fitted["bias"] = best[:, width].to(weight.dtype)
        if not all(bool(value.isfinite().all()) for value in fitted.values()):
            raise WorkbenchError(f"{self.title}: {name} cannot be fitted; give more samples, or more damping")
        for parameter, value in fitted.items():
            # Not written into the tensor, which is shared with the state.
            layer._parameters[parameter] = nn.Parameter(value, requires_grad=False)
        return {f"{name}.{parameter}" if name else parameter: value for parameter, value in fitted.items()}


def _with_one(rows: Tensor, bias: Tensor | None) -> Tensor:
    """Return rows with a last column of ones, which a bias is multiplied with, if there is one."""
    return rows if bias is None else torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], 2)
