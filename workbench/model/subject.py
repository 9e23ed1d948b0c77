"""A named model with its task."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import nn

from workbench.checkpoint.coding import Coding
from workbench.errors import WorkbenchError, first_line
from workbench.model.layers import computed_weights
from workbench.model.twin import twin
from workbench.task.identity import code_digest, tensor_bytes
from workbench.task.metric import Metric
from workbench.task.task import Task, logits


class Subject:
    """A model and what it is for. The model is never changed: steps work on copies or overlays.

    Args:
        name: What people read; also names files, after cleaning.
        model: Any module that takes the task's inputs.
        task: What it is for.
        source: How `wb.load` finds it again, "" for a live module.
        codings: How its parameters are stored, where it came from a packed checkpoint.

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
    ) -> None:
        self.name, self.model, self.task, self.source = str(name), model, task, source
        self.codings = dict(codings or {})
        self._check_weights()
        self._check_forward()
        self._versions = _versions(self.model)

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

    def _check_forward(self) -> None:
        inputs, targets = self.task.split("validation").batch(range(min(2, len(self.task.split("validation")))))
        try:
            with torch.no_grad():
                output = logits(twin(self.model)(*inputs))
        except WorkbenchError:
            raise
        except Exception as error:  # a user's forward may raise anything
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
            raise WorkbenchError(
                f"{self.name}: the model fails on the task's inputs of shape {shapes}: {first_line(error)}"
            ) from error
        if self.task.metric.classes:
            every = getattr(self.task.split("validation"), "targets", targets)
            if int(every.max()) >= output.shape[-1]:
                raise WorkbenchError(
                    f"{self.name}: label {int(every.max())} does not fit an output of {output.shape[-1]} classes"
                )
        self._settle_metric(self.task.metric, output, targets)

    def _settle_metric(self, metric: Metric, output: torch.Tensor, targets: torch.Tensor) -> None:
        try:
            judged = torch.as_tensor(metric.judge(output, targets))
        except Exception as error:  # a user's metric may raise anything
            raise WorkbenchError(
                f"{self.name}: the metric {metric.name} fails on the model's output: {error}"
            ) from error
        if judged.ndim > 1 or (judged.ndim == 1 and len(judged) != len(targets)):
            raise WorkbenchError(
                f"{self.name}: the metric {metric.name} gives shape {tuple(judged.shape)} for {len(targets)} samples; "
                "it must give one number for each, or one in all"
            )
        # A first try on a few samples; all of them are tried when the baseline is scored.
        self.settle_metric(metric.settled(output, targets))

    def settle_metric(self, metric: Metric) -> None:
        """Judge by this metric from now on: the task's own, with what was learnt of whether it judges samples apart.

        The task that was given stays as it is; it may be another subject's too.
        """
        if metric != self.task.metric:
            self.task = copy.copy(self.task)
            self.task.metric = metric

    def portable(self) -> Subject:
        """Return the subject with the part of its task that steering needs, for other processes."""
        fingerprint = self.fingerprint
        made = copy.copy(self)
        made.task = self.task.portable()
        made.__dict__["fingerprint"] = fingerprint  # of the whole data, which the copy cannot know
        return made

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any weight, the model's code, the validation data, metric or loss."""
        digest = hashlib.sha256(f"{self.name} {code_digest(self.model)} {self.task.digest('validation')}".encode())
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


def _versions(model: nn.Module) -> list[tuple[int, int]]:
    """Return what changes when a tensor of a model is replaced or written to."""
    tensors = (*model.parameters(), *model.buffers())
    # Tensors made in inference mode count no writes.
    return [(id(value), -1 if value.is_inference() else value._version) for value in tensors]
