"""A named model with its task."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.errors import WorkbenchError, first_line
from workbench.model.layers import computed_weights
from workbench.model.twin import model_on, twin
from workbench.task.batch import (
    Call,
    Inputs,
    Output,
    Tree,
    ambiguous,
    count,
    feeds_of,
    judged,
    named_tensors,
    shape_words,
)
from workbench.task.batch import call as call_model
from workbench.task.device import CPU, device_of
from workbench.task.identity import code_digest, tensor_bytes
from workbench.task.metric import Metric
from workbench.task.samples import free_dimensions
from workbench.task.task import Task


class Subject:
    """A model and what it is for. The model is never changed: steps work on copies or overlays.

    Args:
        name: What people read; also names files, after cleaning.
        model: Any module that takes the task's inputs.
        task: What it is for.
        source: How `wb.load` finds it again, "" for a live module.
        codings: How its parameters are stored, where it came from a packed checkpoint.
        notes: What people should know of how it was loaded.

    Raises:
        WorkbenchError: The weights are not finite, the forward fails on the task's inputs, or the labels do
            not fit the output.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        task: Task,
        source: str = "",
        codings: Mapping[str, Coding] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        # What it is, is told on the CPU, whatever it is run on afterwards.
        self.name, self.model, self.task, self.source = str(name), model_on(model, CPU), task, source
        self.codings, self.notes = dict(codings or {}), tuple(notes)
        self._check_kind()
        self._check_weights()
        self._check_forward()
        self._versions = _versions(self.model)

    def _check_kind(self) -> None:
        if isinstance(self.model, torch.jit.ScriptModule):
            raise WorkbenchError(
                f"{self.name}: the model is a TorchScript program, whose layers cannot be replaced; give the module "
                "that it was scripted of, with its weights: model.load_state_dict(scripted.state_dict())"
            )
        packed = [name for name, module in self.model.named_modules() if _is_quantized(module)]
        if packed:
            raise WorkbenchError(
                f"{self.name}: quantized by torch already: {', '.join(packed[:3])}; give the floating-point model, and "
                "quantize it here"
            )

    def _check_weights(self) -> None:
        if not any(True for _ in self.model.parameters()):
            raise WorkbenchError(f"{self.name}: the model has no parameters, so there is nothing to compress")
        computed = computed_weights(self.model)
        if computed:
            raise WorkbenchError(
                f"{self.name}: computed from other tensors, by weight_norm, spectral_norm or the like: "
                f"{', '.join(computed[:3])}. Weights must be plain parameters; make them so with torch"
                ".nn.utils.parametrize.remove_parametrizations(layer, 'weight'), remove_weight_norm or prune.remove"
            )
        for name, value in self.model.state_dict().items():
            if value.is_complex():
                raise WorkbenchError(
                    f"{self.name}: {name} holds complex numbers, which no file format here stores; keep them as pairs, "
                    "with torch.view_as_real, and use torch.view_as_complex in forward"
                )
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise WorkbenchError(f"{self.name}: {name} holds NaN or infinite values; the model cannot be judged")

    @torch.no_grad()
    def _check_forward(self) -> None:
        task = self.task
        data = task.split("validation")
        inputs, targets = data.batch(range(min(2, len(data))))
        call, output = self._called(inputs, replace(task.call, free=free_dimensions(data)))
        call = replace(call, output=self._judged(output, call, task.metric, targets))
        outputs = judged(output, Inputs(inputs, call))
        metric = self._laid_out(task.metric, outputs, targets)
        self.task = task.settled(metric, call)
        self._settle_metric(metric, outputs, targets)

    def _called(self, inputs: Inputs, call: Call) -> tuple[Call, Any]:
        """Return how the model is called, and what it gives: named inputs by name, or together as one dict.

        It runs on copies, which show whether it writes into its inputs.

        Raises:
            WorkbenchError: The model fails on them either way.
        """
        ways, failure = [call], Exception()
        if inputs.call.structure is not None and inputs.arguments()[1]:
            ways.append(replace(call, together=True))
        for way in ways:
            copies = Inputs([value.clone() for value in inputs], replace(way, structure=inputs.call.structure))
            try:
                output = call_model(twin(self.model), copies)
                return replace(way, changed=any(value._version > 0 for value in copies)), output
            except WorkbenchError:
                raise
            except Exception as error:  # a user's forward may raise anything
                failure = failure if failure.args else error
        raise WorkbenchError(
            f"{self.name}: the model fails on the task's inputs of shape {shape_words(tuple(inputs))}: "
            f"{first_line(failure)}"
        ) from failure

    def _judged(self, output: Any, call: Call, metric: Metric, targets: Tree) -> Output:
        """Return what of an output is judged: what the task says, or the one tensor that fits.

        Raises:
            WorkbenchError: Several tensors fit, and nothing says which.
        """
        if call.output is not None or isinstance(output, Tensor):
            return call.output
        fitting = []
        for key, value in named_tensors(output).items():
            if key == "logits":
                return "logits"
            try:
                torch.as_tensor(metric.judge(value, targets))
                fitting.append(key)
            except Exception:  # noqa: S110  # what a metric raises on a tensor that is meant for something else
                pass
        if len(fitting) == 1:
            return fitting[0]
        raise ambiguous(output, fitting)

    def _laid_out(self, metric: Metric, output: Tree, targets: Tree) -> Metric:
        """Return the metric for classes that lie as the shapes of two samples tell.

        Raises:
            WorkbenchError: Shapes do not fit, or a label does not.
        """
        if metric.classes is None:
            return metric
        try:
            classes = metric.classes.settled(output, targets)
            every = getattr(self.task.split("validation"), "targets", None)
            aligned = classes.aligned(output, targets)
            if isinstance(every, Tensor) and aligned.soft is None and not every.is_floating_point():
                classes.check(every[every != classes.ignored], aligned.scores.shape[-1])
        except WorkbenchError as error:
            raise WorkbenchError(f"{self.name}: {error}") from error
        return metric.laid_out(classes)

    def _settle_metric(self, metric: Metric, output: Tree, targets: Tree) -> None:
        try:
            values = torch.as_tensor(metric.judge(output, targets))
        except WorkbenchError as error:
            raise WorkbenchError(f"{self.name}: {error}") from error
        except Exception as error:  # a user's metric may raise anything
            raise WorkbenchError(
                f"{self.name}: the metric {metric.name} fails on the model's output: {first_line(error)}"
            ) from error
        rows = values.ndim == 2 and metric.combine is not None
        if values.ndim > 1 + rows or (values.ndim and len(values) != count(targets)):
            raise WorkbenchError(
                f"{self.name}: the metric {metric.name} gives shape {tuple(values.shape)} for {count(targets)} "
                "samples; it must give one number for each, or one in all"
            )
        # A first try on a few samples; all of them are tried when the baseline is scored.
        self.settle_metric(metric.settled(output, targets))

    def settle_metric(self, metric: Metric) -> None:
        """Judge by this metric from now on: the task's own, with what was learnt of whether it judges samples apart.

        The task that was given stays as it is; it may be another subject's too.
        """
        if metric != self.task.metric:
            self.task = self.task.settled(metric, self.task.call)

    @property
    def device(self) -> torch.device:
        """Where its model and its batches are."""
        return device_of(self.model)

    def on(self, device: torch.device) -> Subject:
        """Return the same subject with its model, codings and batches on a device; itself where it is there."""
        if device == self.device and device == self.task.device:
            return self
        subject, fingerprint = copy.copy(self), self.fingerprint
        subject.model, subject.task = model_on(self.model, device), self.task.on(device)
        subject.codings = {name: coding.on(device) for name, coding in self.codings.items()}
        subject.__dict__["fingerprint"] = fingerprint  # of what it is, and not of where
        subject._versions = _versions(subject.model)
        return subject

    def portable(self, train: bool = False) -> Subject:
        """Return the subject with the part of its task that steering needs, for other processes; train if asked."""
        fingerprint = self.fingerprint
        subject = copy.copy(self)
        subject.task = self.task.portable(train)
        subject.__dict__["fingerprint"] = fingerprint  # of the whole data, which the copy cannot know
        return subject

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any weight, the model's code, the validation data, metric or loss."""
        digest = hashlib.sha256(
            f"{self.name} {code_digest(self.model)}{feeds_of(self.model) or ''} "
            f"{self.task.digest('validation')}".encode()
        )
        for key, value in self.model.state_dict().items():
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode() + tensor_bytes(value))
        return digest.hexdigest()[:16]

    def check_untouched(self) -> None:
        """Raise an error if the weights were changed from outside since the subject was made.

        What was measured would be of another model than what is compressed.

        Raises:
            WorkbenchError: They were.
        """
        if _versions(self.model) != self._versions:
            raise WorkbenchError(
                f"{self.name}: the model's weights were changed since it was loaded; make a new wb.Subject of it"
            )


def _is_quantized(module: nn.Module) -> bool:
    return type(module).__module__.startswith(("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.intrinsic"))


def _versions(model: nn.Module) -> list[tuple[int, int]]:
    """Return what changes when a tensor of a model is replaced or written to."""
    tensors = (*model.parameters(), *model.buffers())
    # Tensors made in inference mode count no writes.
    return [(id(value), -1 if value.is_inference() else value._version) for value in tensors]
