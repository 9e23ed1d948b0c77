"""What enters layers on the calibration split: the statistics that second-order methods are made of.

A convolution is a linear layer over patches (im2col; Chellapilla et al.: "High Performance Convolutional Neural
Networks for Document Processing", 2006), so that both are treated alike: rows of `d = weight[0].numel()` inputs, in
the order of the weight's own dimensions, apart for each group of a grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.task.batch import call
from workbench.task.task import Task

BATCH = 64
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
PATCH_NUMBERS = 1 << 24  # that one product takes at a time: 64 MB in single precision
MOMENT_BYTES = 1 << 30  # that all matrices of one pass over the data may take

Visit = Callable[[str, Tensor], None]


@dataclass(frozen=True, eq=False)
class Moments:
    """Statistics of one layer's inputs x, each of d numbers, over n patches or vectors.

    Attributes:
        second: float64 [groups, d, d], the mean of x x^T. Half the Hessian of the layer's mean squared error.
        mean: float64 [groups, d].
        count: n.
    """

    second: Tensor
    mean: Tensor
    count: int

    @property
    def norms(self) -> Tensor:
        """The L2 norm of every input over all n, float64 [groups, d]."""
        return (self.second.diagonal(dim1=1, dim2=2) * self.count).sqrt()


def patches(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the rows that a layer multiplies its weight with, [groups, n, d].

    Args:
        module: A convolution or a linear layer.
        inputs: [N, C, ...] for a convolution, [..., d] for a linear layer.
    """
    if not isinstance(module, CONVOLUTIONS):
        return inputs.reshape(1, -1, inputs.shape[-1])
    places = len(module.kernel_size)
    batch = inputs if inputs.ndim == places + 2 else inputs.unsqueeze(0)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    windows: Tensor = F.pad(batch, module._reversed_padding_repeated_twice, mode=mode)
    for dim, (size, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True), 2
    ):
        windows = windows.unfold(dim, dilation * (size - 1) + 1, stride)[..., ::dilation]
    # [N, groups, C / groups, *positions, *kernel]: positions are rows, channels and kernel are columns.
    windows = windows.reshape(len(batch), module.groups, -1, *windows.shape[2:])
    positions, kernel = range(3, 3 + places), range(3 + places, 3 + 2 * places)
    width = module.weight[0].numel()
    return windows.permute(1, 0, *positions, 2, *kernel).reshape(module.groups, -1, width)


def calls_in(model: nn.Module, names: Iterable[str], inputs: tuple[Tensor, ...]) -> list[str]:
    """Return the named modules in the order in which a forward pass calls them, each as often as it does."""
    calls: list[str] = []
    watched = twin(model)
    for name in names:
        watched.get_submodule(name).register_forward_pre_hook(lambda _, __, name=name: calls.append(name))
    with TURN, torch.no_grad():
        call(watched, inputs)
    return calls


def calibration_batches(
    task: Task, progress: Progress, doing: str, size: int = BATCH
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Yield inputs and targets of the calibration split in order, telling what is done with them.

    Raises:
        WorkbenchError: There is no calibration data.
        Cancelled: It was told to stop.
    """
    data = task.split("calibration")
    starts = range(0, len(data), size)
    for start in progress.over(starts, len(starts), doing):
        yield data.batch(range(start, min(start + size, len(data))))


def visit_inputs(
    model: nn.Module, task: Task, names: Sequence[str], visit: Visit, progress: Progress | None = None
) -> None:
    """Call `visit(name, rows)` with all inputs of the named layers on the calibration split, some at a time.

    The rows are [groups, n, d] as in `patches`, in the model's precision. A layer that the forward does not call is not
    visited; one that it calls several times is visited for each call. The model runs in evaluation mode, on its twin.

    Args:
        model: Any module that takes the task's inputs.
        task: Gives the samples.
        names: Convolutions (not transposed) and linear layers.
        visit: What looks at the rows.
        progress: Where progress is told, and cancelling asked.

    Raises:
        WorkbenchError: A name is no such layer, there is no calibration data, or an input is not finite.
        Cancelled: It was told to stop.
    """
    watched = twin(model)
    for name, module in _layers(watched, names).items():
        module.register_forward_pre_hook(watching(name, visit), with_kwargs=True)
    for inputs, _ in calibration_batches(task, progress or Progress(), "looking at layer inputs"):
        with TURN, torch.no_grad():
            call(watched, inputs)


def input_moments(
    model: nn.Module, task: Task, names: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[str, Moments]]:
    """Yield the moments of the named layers' inputs on the calibration split, in the order of `names`.

    Where the matrices of all layers would take more than a gigabyte, the data are passed over several times.
    A layer that the forward does not call is left out. Arguments and errors as in `visit_inputs`.
    """
    progress = progress or Progress()
    passes = _passes(_layers(model, names))
    for number, part in enumerate(passes):
        sums: dict[str, Sums] = {}

        def add(name: str, rows: Tensor, sums: dict[str, Sums] = sums) -> None:
            sums.setdefault(name, Sums()).add(rows)

        share = progress.part(number / len(passes), (number + 1) / len(passes))
        visit_inputs(model, task, part, add, share)
        for name in part:
            if name in sums:
                yield name, sums.pop(name).moments()


def input_norms(
    model: nn.Module, task: Task, names: Sequence[str], progress: Progress | None = None
) -> dict[str, Tensor]:
    """Return the L2 norm of every input of the named layers over the calibration split, float64 [groups, d].

    Far cheaper than `input_moments`. A layer that the forward does not call is left out. Arguments and errors as in
    `visit_inputs`.
    """
    squares: dict[str, Tensor] = {}

    def add(name: str, rows: Tensor) -> None:
        squares[name] = squares.get(name, 0.0) + rows.square().sum(1, dtype=torch.float64)

    visit_inputs(model, task, names, add, progress)
    return {name: value.sqrt() for name, value in squares.items()}


def damped(second: Tensor, damping: float = 0.01) -> Tensor:
    """Return second moments [groups, d, d] that can be inverted: `damping` times the mean diagonal is added to it.

    An input that is always zero gets a diagonal of one: no weight that reads it matters to another.
    """
    wide = second.double().clone()
    diagonal = wide.diagonal(dim1=1, dim2=2)
    diagonal += damping * diagonal.mean(1, keepdim=True)
    diagonal[diagonal == 0] = 1.0
    return wide


def inverse(second: Tensor, damping: float = 0.01) -> Tensor:
    """Return the inverse of damped second moments, float64 [groups, d, d].

    Raises:
        WorkbenchError: They cannot be inverted.
    """
    return torch.cholesky_inverse(_cholesky(damped(second, damping), damping))


def inverse_factor(second: Tensor, damping: float = 0.01) -> Tensor:
    """Return upper triangular U, float64 [groups, d, d], with U^T U the inverse of damped second moments.

    Row j of U, from its diagonal on, is row j of the inverse for the inputs j, j + 1, ... alone, divided by the square
    root of its first number: Frantar and Alistarh, "SparseGPT", 2023. Errors as in `inverse`.
    """
    return _cholesky(inverse(second, damping), damping).mT


def _cholesky(matrices: Tensor, damping: float) -> Tensor:
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if bool(failed.any()) or not bool(factor.isfinite().all()):
        raise WorkbenchError(
            f"the second moments of the layer's inputs cannot be inverted with a damping of {damping:g}; "
            "give more calibration samples or a larger damping"
        )
    return factor


class Sums:
    """What was seen of one layer's inputs so far, from rows as `visit_inputs` gives them."""

    def __init__(self) -> None:
        self.second, self.total, self.count = torch.tensor(0.0), torch.tensor(0.0), 0

    def add(self, rows: Tensor) -> None:
        # A product in no less than single precision and a sum in double: as exact as it need be, and twice as fast.
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        self.second = self.second + torch.bmm(rows.mT, rows).double()
        self.total = self.total + rows.sum(1, dtype=torch.float64)
        self.count += rows.shape[1]

    def moments(self) -> Moments:
        return Moments(self.second / self.count, self.total / self.count, self.count)


def watching(name: str, visit: Visit) -> Callable[[nn.Module, Any, Any], None]:
    """Return a forward pre-hook with keywords that calls `visit(name, rows)`; rows and errors as in `visit_inputs`."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs = (args or tuple(kwargs.values()))[0].detach()
        if not torch.isfinite(inputs).all():
            raise WorkbenchError(f"{name} gets NaN or infinite inputs on the calibration data")
        for part in torch.split(inputs, samples_at_once(module, inputs)):
            visit(name, patches(module, part))

    return hook


def samples_at_once(module: nn.Module, inputs: Tensor) -> int:
    """Return how many samples' patches may be held at a time."""
    numbers = inputs.numel()
    if inputs.ndim < (len(module.kernel_size) + 2 if isinstance(module, CONVOLUTIONS) else 2):
        return len(inputs)  # one sample without a batch dimension
    if isinstance(module, CONVOLUTIONS):
        for size, stride in zip(module.kernel_size, module.stride, strict=True):
            numbers = numbers * size // stride
    return max(len(inputs) * PATCH_NUMBERS // max(numbers, 1), 1)


def _layers(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    for name in names:
        if not isinstance(modules.get(name), (nn.Linear, *CONVOLUTIONS)):
            words = f"a {type(modules[name]).__name__}" if name in modules else "not in the model"
            raise WorkbenchError(
                f"{name} is {words}; only inputs of convolutions (not transposed) and linear layers can be looked at"
            )
    return {name: modules[name] for name in names}


def _passes(chosen: dict[str, nn.Module]) -> list[list[str]]:
    """Return the names in parts whose matrices fit into memory together."""
    parts: list[list[str]] = []
    room = 0
    for name, module in chosen.items():
        weight = module.get_parameter("weight")
        groups = getattr(module, "groups", 1)
        needed = 8 * groups * weight[0].numel() ** 2
        if not parts or needed > room:
            parts.append([])
            room = MOMENT_BYTES
        parts[-1].append(name)
        room -= needed
    return parts
