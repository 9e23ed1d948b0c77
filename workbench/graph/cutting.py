"""Physical removal of channel units, and the proof that what is left is whole."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.fx import Interpreter

from workbench.errors import WorkbenchError, first_line
from workbench.graph.group import Group, Slot
from workbench.graph.refit import is_depthwise, refit
from workbench.graph.walk import canonical_names
from workbench.model.twin import sharing_copy, twin
from workbench.task.batch import Inputs, call, leaves, like, outputs_of

# Largest difference between the cut and the masked model, as a part of the largest output.
TOLERANCE = 1e-4
# How it begins what a check says of channels that the graph alone would let go.
FAILING = ("the model does not run without", "without these channels")
VERIFIED_BYTES = 32 << 20  # of tensors that one try at cutting changes

Removal = Mapping[str, Sequence[int]]


def kept_indices(model: nn.Module, groups: Sequence[Group], remove: Removal) -> dict[tuple[str, int], list[int]]:
    """Return the indices that stay, ascending, for every (parameter or buffer, dimension) that loses some.

    A tied parameter is there under each of its names.

    Args:
        model: The model the groups were made from.
        groups: Its groups; those that lose nothing may be left out.
        remove: For group names the numbers of the units that go.

    Raises:
        WorkbenchError: An unknown or protected group, an unknown unit, or a layer left without channels.
    """
    gone: dict[tuple[str, int], set[int]] = defaultdict(set)
    for slot in _removed_slots(groups, remove):
        gone[slot.parameter, slot.dim].update(slot.indices)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    left = {}
    for name, first in canonical_names(model).items():
        for dim in range(tensors[first].dim()):
            if lost := gone.get((first, dim)):
                size = tensors[first].shape[dim]
                left[name, dim] = [index for index in range(size) if index not in lost]
                if not left[name, dim]:
                    raise WorkbenchError(f"all {size} channels of {name} would go; at least one must stay")
    return left


def cut(model: nn.Module, groups: Sequence[Group], remove: Removal) -> nn.Module:
    """Return a smaller copy of the model without these units; arguments and errors as in `kept_indices`.

    Parameters that lose nothing are shared, ties between parameters stay.
    """
    left, names = kept_indices(model, groups, remove), canonical_names(model)
    smaller = sharing_copy(model)
    smaller_tensors: dict[str, Tensor] = {}
    for path, module in smaller.named_modules():
        depthwise, touched = is_depthwise(module), False
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                full = f"{path}.{name}" if path else name
                if tensor is None or not any((full, dim) in left for dim in range(tensor.dim())):
                    continue
                touched, first = True, names[full]
                if first not in smaller_tensors:
                    smaller_tensors[first] = _keep(tensor, [left.get((full, dim)) for dim in range(tensor.dim())])
                store[name] = smaller_tensors[first]
        if touched:
            refit(module, depthwise)
    return smaller


def mask(model: nn.Module, groups: Sequence[Group], remove: Removal) -> nn.Module:
    """Return a copy of the same size in which everything that these units occupy is zero."""
    slots = _removed_slots(groups, remove)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    zeroed = {name: tensors[name].detach().clone() for name in {slot.parameter for slot in slots}}
    for slot in slots:
        tensor = zeroed[slot.parameter]
        tensor.index_fill_(slot.dim, torch.tensor(slot.indices, device=tensor.device), 0)
    return sharing_copy(model, zeroed)


def verify(model: nn.Module, groups: Sequence[Group], remove: Removal, example: tuple[Tensor, ...]) -> None:
    """Run the model with these units cut, and compare it with the model in which they are zero.

    The outputs must be finite and have the same shapes; if all groups are exact they must be equal too.

    Raises:
        WorkbenchError: What the cut model does wrong.
    """
    exact = all(group.exact for group in groups if remove.get(group.name))
    smaller, zeroed = cut(model, groups, remove), mask(model, groups, remove)
    expected = _outputs(zeroed, example)
    try:
        outputs = _outputs(smaller, example)
    except Exception as error:
        raise WorkbenchError(f"the model does not run without these channels ({first_line(error)})") from error
    _check_outputs(outputs, expected)
    if exact and (single := _difference(outputs, expected)) > TOLERANCE:
        # Single precision alone can differ by this much in a deep model; only double precision can tell.
        difference = min(single, _wide_difference(smaller, zeroed, example))
        if difference > TOLERANCE:
            raise WorkbenchError(
                f"without these channels the outputs differ by {difference:.1e} of their size from those "
                "with the channels set to zero"
            )


def check_same(model: nn.Module | Interpreter, other: nn.Module, example: tuple[Tensor, ...]) -> None:
    """Raise an error if `other`, made of a traced graph, does not compute the same as `model`."""
    run = model if isinstance(model, Interpreter) else twin(model)
    outputs, expected = _outputs(twin(other), example), _outputs(run, example)
    _check_outputs(outputs, expected)
    if (difference := _difference(outputs, expected)) > TOLERANCE:
        raise WorkbenchError(f"the model made of the traced graph gives outputs that differ by {difference:.1e}")


def protect_failing(model: nn.Module, groups: Sequence[Group], example: tuple[Tensor, ...]) -> tuple[Group, ...]:
    """Return the groups, with those protected whose cut does not `verify`.

    One to three units are removed from every group, then about half of them. Groups are tried together, with
    different counts so that a coupling that was overlooked shows, and apart when that fails.
    """
    reasons = {g.name: "its only unit must stay" for g in groups if g.protected is None and len(g.units) == 1}
    for exact in (True, False):
        for half in (False, True):
            free = [g for g in groups if g.protected is None and g.exact is exact and g.name not in reasons]
            for part in _portions(model, free):
                reasons.update(_failures(model, part, example, half))
    return tuple(replace(g, protected=reasons[g.name]) if g.name in reasons else g for g in groups)


def _portions(model: nn.Module, groups: Sequence[Group]) -> list[list[Group]]:
    """Return the groups in parts that are tried together: what a part changes is copied, and has to be small."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    portions: list[list[Group]] = [[]]
    room = VERIFIED_BYTES
    for group in groups:
        names = {slot.parameter for unit in group.units for slot in unit}
        needed = sum(tensors[name].numel() * tensors[name].element_size() for name in names)
        if portions[-1] and needed > room:
            portions.append([])
            room = VERIFIED_BYTES
        portions[-1].append(group)
        room -= needed
    return portions


def _failures(model: nn.Module, groups: Sequence[Group], example: tuple[Tensor, ...], half: bool) -> dict[str, str]:
    """Return the reasons of the groups that must be protected so that the rest can be cut together."""
    if not groups:
        return {}
    remove = {group.name: _some_units(group, number, half) for number, group in enumerate(groups)}
    try:
        verify(model, groups, remove, example)
    except WorkbenchError as error:
        if len(groups) == 1:
            return {groups[0].name: str(error)}
        middle = len(groups) // 2
        left, right = (_failures(model, part, example, half) for part in (groups[:middle], groups[middle:]))
        return {**left, **right} or {group.name: str(error) for group in groups[middle:]}
    return {}


def _some_units(group: Group, number: int, half: bool) -> list[int]:
    total = len(group.units)
    count = min(total // 2 + number % 2 if half else 1 + number % 3, total - 1)
    return [unit * total // count for unit in range(count)]


def _removed_slots(groups: Sequence[Group], remove: Removal) -> list[Slot]:
    known = {group.name: group for group in groups}
    slots: list[Slot] = []
    for name, numbers in remove.items():
        if name not in known:
            raise WorkbenchError(f"there is no channel group {name!r}; there are {', '.join(known)}")
        group = known[name]
        if numbers and group.protected is not None:
            raise WorkbenchError(f"the channels of {name} cannot be cut: {group.protected}")
        for number in numbers:
            if not 0 <= number < len(group.units):
                raise WorkbenchError(f"{name} has no unit {number}; it has units 0 to {len(group.units) - 1}")
            slots.extend(group.units[number])
    return slots


def _keep(tensor: Tensor, left: Sequence[list[int] | None]) -> Tensor:
    smaller = tensor.detach()
    for dim, indices in enumerate(left):
        if indices is not None:
            smaller = smaller.index_select(dim, torch.tensor(indices, device=tensor.device))
    return nn.Parameter(smaller, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else smaller


def _outputs(model: nn.Module | Interpreter, example: tuple[Tensor, ...]) -> list[Tensor]:
    """Return all output tensors in eval mode; a model that draws random numbers draws the same each time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        run = model.eval() if isinstance(model, nn.Module) else model
        # What was traced for a task gives what is judged; without one everything counts.
        return leaves(outputs_of(run, example) if isinstance(example, Inputs) else call(run, example))  # type: ignore[arg-type]  # Bypass can be called


def _check_outputs(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    shapes = [[tuple(tensor.shape) for tensor in outputs] for outputs in (actual, expected)]
    if shapes[0] != shapes[1]:
        raise WorkbenchError(f"without these channels the outputs have shapes {shapes[0]} instead of {shapes[1]}")
    if not all(bool(tensor.isfinite().all()) for tensor in actual):
        raise WorkbenchError("without these channels the outputs are not finite")


def _difference(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference of any output, as a part of that output's largest value."""
    worst = 0.0
    for one, other in zip(outputs, expected, strict=True):
        if one.numel():
            scale = max(float(other.abs().max()), 1e-12)
            worst = max(worst, float((one.double() - other.double()).abs().max()) / scale)
    return worst


def _wide_difference(smaller: nn.Module, zeroed: nn.Module, example: tuple[Tensor, ...]) -> float:
    """Return the difference in double precision, infinite if the models cannot run in it."""
    # Their tensors are shared with other models, and `.double()` changes parameters where they are.
    smaller, zeroed = copy.deepcopy(smaller), copy.deepcopy(zeroed)
    wide = like(example, (value.double() if value.is_floating_point() else value for value in example))
    try:
        return _difference(_outputs(smaller.double(), wide), _outputs(zeroed.double(), wide))
    except (RuntimeError, TypeError):
        return math.inf
