"""Activations on an integer grid: what is simulated here is what the exported integer graph computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from workbench.checkpoint.coding import Coding, Uniform
from workbench.errors import WorkbenchError
from workbench.task.device import CPU

INPUT, OUTPUT = "input_quantizer", "output_quantizer"
MOST_BITS = 16  # of a quantizer in a file
FINE = 1 << 15  # parts of a step that are told apart: about what float32 can of 256 steps


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to `bits`-bit integers times a scale, with gradients passed straight through.

    It sits on a layer as a submodule and is called by the layer's hooks, so the layer keeps its type and its
    parameters keep their names.

    Args:
        bits: 2 to 8.
        low: Smallest value seen; the grid always holds 0.0 exactly.
        high: Largest value seen.
        device: Where the tensors are that it rounds.

    Attributes:
        simulate: Whether it does anything.
        halves: Whether values may lie midway between two integers, as means of values on a grid do: one in four
            that a pool gives. Floating point decides these by what was lost on the way, ONNX Runtime's integer
            kernels take the even integer, and so does this quantizer then.
    """

    grid: Tensor

    def __init__(self, bits: int, low: float, high: float, device: torch.device = CPU) -> None:
        super().__init__()
        low, high = min(low, 0.0), max(high, 0.0)
        self.quant_min, self.quant_max = 0, 2**bits - 1
        scale = (high - low) / self.quant_max
        zero_point = round(-low / scale) if scale else 0
        self.bits = bits
        # A layer that only ever saw zeros still needs a grid to put them on. Scale and zero point are one tensor,
        # because each tensor costs a line in the header of a file.
        self.register_buffer("grid", torch.tensor([scale or 1.0, zero_point], dtype=torch.float32, device=device))
        self.simulate, self.halves = True, False

    @property
    def scale(self) -> float:
        """The distance of neighbouring values."""
        return float(self.grid[0])

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0.0."""
        return int(self.grid[1])

    def forward(self, x: Tensor) -> Tensor:
        if not self.simulate:
            return x
        scale, zero_point = self.grid[0], self.grid[1]
        if self.training and self.grid.requires_grad:
            # Esser et al.: "Learned Step Size Quantization", 2020, equations 1 and 3; zero stays where it is.
            exact = (x / scale).clamp(self.quant_min - zero_point, self.quant_max - zero_point)
            return (exact + (exact.round() - exact).detach()) * scale
        if self.training:
            return torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), self.quant_min, self.quant_max)
        # The same in plain arithmetic, which can be traced; `quantizer_at` knows it again in a traced graph.
        steps = x / scale
        if self.halves:
            integers = torch.round(torch.round(steps * FINE) / FINE + zero_point)
        else:  # to the letter what ONNX says QuantizeLinear does
            integers = torch.round(steps) + zero_point
        integers = torch.clamp(integers, self.quant_min, self.quant_max)
        return (integers - zero_point) * scale


def rounded_bias(bias: Tensor, coding: Coding, entry: ActivationQuantizer) -> Tensor:
    """Return a layer's bias on the grid of its products, as integer kernels add it; as it is where there is none.

    It is a small change for each output and a large one for a deep network: rounding it only at the export made
    one prediction in a hundred differ from what was measured.
    """
    if not isinstance(coding, Uniform) or coding.groups:
        return bias
    # A grouped transposed convolution has the scales of one group for each of its groups.
    scale = coding.scale.double().reshape(-1).repeat(len(bias) // coding.scale.numel()) * entry.scale
    return (torch.round(bias.detach().double() / scale) * scale).to(bias.dtype)


CHAIN = ("mul", "sub", "clamp", "add", "round", "div")
HALVES = ("mul", "sub", "clamp", "round", "add", "div", "round", "mul", "div")


def quantizer_at(node: Node) -> tuple[Node, str, ActivationQuantizer] | None:
    """Return what a traced quantizer reads, where it was, and one like it, if `node` is the last of its operators."""
    for chain in (CHAIN, HALVES):
        if (passed := _passed(node, chain)) is not None:
            break
    else:
        return None
    scale, largest = passed[0].args[1], passed[2].args[2]
    (source, divisor) = passed[-1].args
    grid = scale.args[0] if isinstance(scale, Node) and str(scale.target).startswith("aten.select.") else None
    if divisor is not scale or not (isinstance(source, Node) and isinstance(grid, Node) and grid.op == "get_attr"):
        return None
    if not isinstance(largest, int) or not 1 <= (bits := (largest + 1).bit_length() - 1) <= MOST_BITS:
        return None
    quantizer = ActivationQuantizer(bits, 0.0, 1.0)
    quantizer.halves = chain is HALVES
    return source, str(grid.target).rpartition(".")[0], quantizer


def _passed(node: Any, chain: tuple[str, ...]) -> list[Node] | None:
    """Return the nodes of these operators, of which each reads the next one, from `node` back; None if it is others."""
    passed: list[Node] = []
    for name in chain:
        if not isinstance(node, Node) or node.op != "call_function" or not str(node.target).startswith(f"aten.{name}."):
            return None
        passed.append(node)
        (node, *_) = node.args
    return passed


def entering(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return what enters a layer, given by place or by name, as hooks see it; None where nothing does."""
    return args[0] if args else next(iter(kwargs.values()), None)


def _before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    rounded = module.get_submodule(INPUT)(entering(args, kwargs))
    if args:
        return (rounded, *args[1:]), kwargs
    first, *_ = kwargs
    return args, {**kwargs, first: rounded}


def _after(module: nn.Module, _: tuple[Any, ...], output: Any) -> Any:
    return module.get_submodule(OUTPUT)(output)


def attach(module: nn.Module, place: str, quantizer: ActivationQuantizer) -> None:
    """Put a quantizer on a layer's input or output (`INPUT`, `OUTPUT`), in place of one that is there."""
    if place not in (INPUT, OUTPUT):
        raise WorkbenchError(f"a quantizer goes on {INPUT} or {OUTPUT}, not {place}")
    had = hasattr(module, place)
    module.add_module(place, quantizer.train(module.training))
    if had:
        return
    if place == INPUT:
        module.register_forward_pre_hook(_before, with_kwargs=True)
    else:
        module.register_forward_hook(_after)


def quantizers(model: nn.Module) -> dict[str, ActivationQuantizer]:
    """Return the activation quantizers of a model by their full names."""
    return {name: module for name, module in model.named_modules() if isinstance(module, ActivationQuantizer)}


def simulate(model: nn.Module, on: bool) -> None:
    """Switch all activation quantizers of a model on or off."""
    for quantizer in quantizers(model).values():
        quantizer.simulate = on
