"""What enters layers, one layer after the other, while those before it change.

A step that changes layers in turn looks at each with the inputs that the changed ones before it give. Run anew for each
layer, a model of many blocks would be run from its first to its last module hundreds of times. So a pass ends where the
layer is reached, and a module in which nothing changes any more gives what it gave in the pass before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.model.twin import standing_in, twin
from workbench.steps.calibration import Moments, Sums, calibration_batches, watching
from workbench.task.batch import call
from workbench.task.task import Task

KEPT_BYTES = 1 << 29  # of what modules gave; what is beyond is computed again


class Reached(BaseException):
    """Ends a pass where nobody needs the rest of it. No error, so that no model takes it for one."""


class InTurn:
    """The inputs of a model's layers on the calibration split, asked for layer by layer.

    Args:
        model: Left as it is.
        task: Gives the samples.
        parameters: Of all that is going to change.
    """

    def __init__(self, model: nn.Module, task: Task, parameters: Sequence[str]) -> None:
        self._model, self._task, self._watched = model, task, twin(model)
        self._waiting = {id(model.get_parameter(name)) for name in parameters}
        self._kept: dict[str, list[Any]] = {}
        self._entered, self._left, self._calls = dict[str, int](), dict[str, int](), Counter[str]()
        self._writes = set[str]()  # into what it was given: others may read that
        self._look()

    def done(self, parameter: str) -> None:
        """Take note that a parameter does not change any more."""
        changed = id(self._model.get_parameter(parameter))
        self._waiting.discard(changed)
        for name, module in self._model.named_modules():
            # What came after it was made with the value before.
            if name in self._entered and changed in map(id, module._parameters.values()):
                self._kept = {kept: outputs for kept, outputs in self._kept.items() if self._before(kept, name)}

    def moments(self, layer: str, changed: Mapping[str, Tensor], progress: Progress) -> Moments | None:
        """Return the moments of what enters a layer, None if the forward does not call it.

        Args:
            layer: A convolution (not transposed) or linear layer.
            changed: Other values of parameters, by name.
            progress: Where progress is told, and cancelling asked.

        Raises:
            WorkbenchError: An input is not finite, or there is no calibration data.
            Cancelled: It was told to stop.
        """
        if layer not in self._entered:
            return None
        # What a module gave before this layer changed holds for this layer only if it did not come after it.
        self._kept = {name: outputs for name, outputs in self._kept.items() if self._before(name, layer)}
        new = dict[str, list[Any]]((name, []) for name in self._settled(layer))
        sums = Sums()
        with standing_in(self._watched, changed), self._prepared(layer, new, sums):
            for inputs, _ in calibration_batches(self._task, progress, "looking at layer inputs"):
                with TURN, torch.no_grad(), suppress(Reached):
                    call(self._watched, inputs)
        # Parts of what is kept now are not called any more.
        self._kept = {name: kept for name, kept in (self._kept | new).items() if new.keys().isdisjoint(_around(name))}
        return sums.moments() if sums.count else None

    @contextmanager
    def _prepared(self, layer: str, new: dict[str, list[Any]], sums: Sums) -> Iterator[None]:
        """Let modules give what they gave, or keep what they give in `new`, and the layer tell what enters it."""
        module = self._watched.get_submodule(layer)
        handles = [module.register_forward_pre_hook(watching(layer, lambda _, rows: sums.add(rows)), with_kwargs=True)]
        if self._calls[layer] == 1:
            handles.append(module.register_forward_pre_hook(_reached))
        room = KEPT_BYTES - sum(map(_size, self._kept.values()))

        def keep(name: str, outputs: list[Any]) -> Any:
            def hook(_: nn.Module, __: Any, output: Any) -> None:
                nonlocal room
                if name in new:
                    outputs.append(_copy(output))
                    room -= _size(outputs[-1])
                    if room < 0:
                        room += _size(new.pop(name))

            return hook

        for name, outputs in list(new.items()):
            handles.append(self._watched.get_submodule(name).register_forward_hook(keep(name, outputs)))
        given = {self._watched.get_submodule(name): outputs for name, outputs in self._kept.items()}
        own = {stopped: vars(stopped).get("forward") for stopped in given}  # some libraries put one there
        for stopped, outputs in given.items():
            stopped.forward = _Given(outputs)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for stopped, forward in own.items():
                del stopped.forward
                if forward is not None:
                    stopped.forward = forward

    def _before(self, name: str, layer: str) -> bool:
        return self._left[name] < self._entered[layer]

    def _settled(self, layer: str) -> list[str]:
        """Return the outermost modules that are over before a layer begins, and in which nothing changes any more."""
        chosen, taken = list[str](), set(self._kept)
        for name, module in self._model.named_modules():
            if (
                name
                and name not in self._kept
                and taken.isdisjoint(_around(name))
                and self._calls[name] == 1
                and name not in self._writes
                and self._before(name, layer)
                and self._waiting.isdisjoint(map(id, module.parameters()))
            ):
                chosen.append(name)
                taken.add(name)
        return chosen

    def _look(self) -> None:
        """Run the model once, on two samples, to see which module begins and ends when."""
        clock, handles = 0, []

        def enter(name: str) -> Any:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                nonlocal clock
                clock += 1
                self._calls[name] += 1
                self._entered.setdefault(name, clock)
                versions[name] = _versions(args, kwargs)

            return hook

        def leave(name: str) -> Any:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], __: Any) -> None:
                nonlocal clock
                clock += 1
                self._left[name] = clock
                if versions[name] != _versions(args, kwargs):
                    self._writes.add(name)

            return hook

        versions: dict[str, list[int]] = {}
        for name, module in self._watched.named_modules():
            handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
            handles.append(module.register_forward_hook(leave(name), with_kwargs=True))
        with TURN, torch.no_grad():
            call(self._watched, self._task.example(2))
        for handle in handles:
            handle.remove()


class _Given:
    """A forward that gives what was given before, batch by batch."""

    def __init__(self, outputs: list[Any]) -> None:
        self._outputs = iter(outputs)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _copy(next(self._outputs))


def _around(name: str) -> Iterator[str]:
    """Yield the names of the modules that a module lies in."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _reached(*_: Any) -> None:
    raise Reached


def _copy(output: Any) -> Any:
    """Return an output in memory of its own: what comes after a module may write into what it gave."""
    return tree_map_only(Tensor, Tensor.clone, output)


def _versions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    """Return how often each tensor was written into."""
    return [value._version for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]


def _size(outputs: Any) -> int:
    return sum(value.nbytes for value in tree_leaves(outputs) if isinstance(value, Tensor))
