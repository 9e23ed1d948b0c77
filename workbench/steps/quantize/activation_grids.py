"""Where activations lie: the ranges of what enters and leaves layers, and which value is rounded by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.checkpoint.coding import BINS
from workbench.graph import followers, summed_inputs
from workbench.jobs.turn import TURN
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, entering, quantizers, simulate
from workbench.model.twin import twin
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.task.batch import call
from workbench.task.device import CPU, device_of

Place = tuple[str, str]
Ranges = dict[Place, tuple[float, float]]
NEAR, OFTEN = 1e-4, 0.01  # of a step; of values that are no multiples of a part of one, two in 10,000 are so near


def observe(
    model: nn.Module,
    names: Iterable[str],
    context: Context,
    chosen: Callable[[Tensor, float, float], Any] | None = None,
) -> tuple[Ranges, dict[str, str]]:
    """Return the range of values at the input and output of each layer, over the calibration split.

    Outputs are looked at where an integer kernel has to write integers again, which is at convolutions; a sum
    of products in a linear layer can go on as it is. An output that only a ReLU reads is looked at after it, so
    that the grid spends nothing on values that are cut off. Layers that take no floating-point input
    (embeddings) or were not reached are named with why not.

    Args:
        model: Left as it is.
        names: Of its layers.
        context: Gives the calibration split.
        chosen: From a histogram with its bounds to a range; None for smallest and largest value.
    """
    wanted = list(names)
    ranges: Ranges = {}

    def widen(place: Place, value: Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(value))
        old = ranges.get(place, (low, high))
        ranges[place] = min(old[0], low), max(old[1], high)

    _watch(model, wanted, context, widen, "calibrating activation ranges")
    skipped = {
        name: "it takes no floating-point tensor or was not reached" for name in wanted if (name, INPUT) not in ranges
    }
    if chosen is None:
        return ranges, skipped
    device = device_of(model)
    counts = {place: torch.zeros(BINS, device=device) for place in ranges}

    def count(place: Place, value: Tensor) -> None:
        counts[place] += torch.histc(value, BINS, *ranges[place])

    _watch(model, wanted, context, count, "counting activations")
    return {place: chosen(counts[place].to(CPU), *ranges[place]) for place in ranges}, skipped


def makers(model: nn.Module, names: Iterable[str], example: tuple[Tensor, ...]) -> dict[str, str]:
    """Return modules that make what a named layer and a shortcut read, with that layer's name.

    Rounded where it is made, such a value is on one grid for both, and the sum behind is one of integers. The module is
    the innermost that is called once and gives the value as it is read.

    Args:
        model: Left as it is.
        names: Layers with a grid for what enters them.
        example: Inputs.
    """
    watched = twin(model)
    simulate(watched, False)  # grids of an earlier step would be operators in between
    wanted = summed_inputs(watched, example).intersection(names)
    calls: Counter[str] = Counter()
    outputs: list[tuple[Tensor, int, str]] = []
    read: dict[str, list[str]] = {}

    def give(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            calls[name] += 1
            if isinstance(output, Tensor):
                outputs.append((output, output._version, name))

        return hook

    def take(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            # What was changed in place since it was given is another value in the same tensor.
            mine = entering(args, kwargs)
            read[name] = [maker for value, version, maker in outputs if value is mine and version == value._version]

        return hook

    for name, module in watched.named_modules():
        if not isinstance(module, ActivationQuantizer):
            module.register_forward_hook(give(name))
        if name in wanted:
            module.register_forward_pre_hook(take(name), with_kwargs=True)
    with TURN, torch.no_grad():
        call(watched, example)
    maker_of: dict[str, str] = {}
    for layer, candidates in read.items():
        maker = next((name for name in candidates if name and calls[name] == 1), None)
        if maker is not None:
            maker_of.setdefault(maker, layer)
    return maker_of


def mark_halves(model: nn.Module, example: tuple[Tensor, ...]) -> None:
    """Tell the quantizers of a model, in place, where means of integers enter that lie midway again and again.

    Such means are computed by the integer kernels of pools; any other value is rounded as floating point has it.

    Args:
        model: Its quantizers have their grids.
        example: Inputs.
    """
    own, pools = quantizers(model), _Pools()
    for quantizer in own.values():
        quantizer.halves = False
    watched = twin(model)

    def look(name: str) -> Any:
        def hook(quantizer: ActivationQuantizer, args: tuple[Tensor]) -> None:
            if pools.gave(args[0]):
                steps = args[0] / quantizer.scale
                own[name].halves = float(((steps - steps.floor() - 0.5).abs() < NEAR).float().mean()) > OFTEN

        return hook

    for name, quantizer in quantizers(watched).items():
        quantizer.register_forward_pre_hook(look(name))
    with TURN, torch.no_grad(), pools:
        call(watched, example)


class _Pools(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """Keeps what average pools give."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._outputs: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if "avg_pool" in str(func):
            self._outputs.append(output)
        return output

    def gave(self, value: Tensor) -> bool:
        """Return whether a tensor is, in memory, what one of them gave."""
        return any(value.data_ptr() == output.data_ptr() for output in self._outputs)


def _watch(
    model: nn.Module, names: Iterable[str], context: Context, look: Callable[[Place, Tensor], None], message: str
) -> None:
    after_relu = followers(model, context.example())

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            mine = entering(args, kwargs)
            if isinstance(mine, Tensor) and mine.is_floating_point() and isinstance(output, Tensor):
                look((name, INPUT), mine)
                if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                    look((name, OUTPUT), output.relu() if after_relu.get(name) == "relu" else output)

        return hook

    watched = twin(model)
    for name in names:
        watched.get_submodule(name).register_forward_hook(watch(name), with_kwargs=True)
    for inputs, _ in calibration_batches(context.subject.task, context.progress, message):
        with TURN, torch.no_grad():
            call(watched, inputs)
