"""A batch, how a model is called with it, and what of its output is judged: the one place that calls models.

What a model takes is a tree of tensors, handed over by place and by name. Everything between a task and a model holds
the tensors alone, in order, as `Inputs`, which know how to become that tree again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_map

from workbench.errors import WorkbenchError, first_line

# A tree of tensors: a tensor, or a tuple or dict of trees. Targets may also be a list of one value a sample.
Tree = Any
Output = str | int | Callable[[Any], Any] | tuple[str, ...] | None
FLAT, FEEDS = "takes_its_inputs_flat", "feeds_its_inputs"


class Batch(NamedTuple):
    """What a model is called with, and what is right.

    Attributes:
        args: Given by place, trees of tensors [n, ...].
        kwargs: Given by name.
        targets: A tree of tensors [n, ...], or a list of n values of any kind.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    targets: Tree


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among the inputs."""

    place: int


@dataclass(frozen=True)
class Call:
    """How tensors are handed to a model, and what of its output is judged.

    Attributes:
        structure: The tree of `(args, kwargs)` with a `Slot` in the place of each tensor; None where all tensors are
            given by place.
        output: What is judged: a key, an attribute, an index, several keys, or a function of the output. None takes a
            tensor, `.logits`, or the one tensor that there is.
        changed: Whether the model writes into its inputs, so that it needs copies.
        together: Whether named inputs are handed over as one dict, by place.
        free: Dimensions beside the batch's whose size differs from sample to sample, as (tensor, dimension).
        fed: Whether the tensors are what the model gets, and no longer what the task gave.
    """

    structure: Any = None
    output: Output = None
    changed: bool = False
    together: bool = False
    free: frozenset[tuple[int, int]] = frozenset()
    fed: bool = False


class Inputs(tuple[Tensor, ...]):
    """The tensors that a model is called with, in order.

    Attributes:
        call: How they are handed over.
    """

    call: Call

    def __new__(cls, values: Iterable[Tensor], call: Call | None = None) -> Inputs:
        """Return these tensors with the call."""
        inputs = super().__new__(cls, tuple(values))
        inputs.call = call or Call()
        return inputs

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, call: Call | None = None) -> Inputs:
        """Return the inputs of a call by place and by name."""
        call = call or Call()
        if not kwargs and all(isinstance(value, Tensor) for value in args):
            return cls(args, replace(call, structure=None))
        tensors: list[Tensor] = []

        def slot(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            tensors.append(leaf)
            return Slot(len(tensors) - 1)

        structure = tree_map(slot, (tuple(args), dict(kwargs or {})))
        return cls(tensors, replace(call, structure=structure))

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what is given by place, and what by name."""
        if self.call.structure is None:
            return tuple(self), {}
        args, kwargs = tree_map(lambda leaf: self[leaf.place] if isinstance(leaf, Slot) else leaf, self.call.structure)
        return ((*args, kwargs), {}) if self.call.together else (args, kwargs)

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """Return a name for each tensor: of the model's parameters, or the key in a dict."""
        args, kwargs = self.arguments()
        try:
            parameters = inspect.signature(model.forward).parameters.values()
        except (TypeError, ValueError):
            parameters = ()  # type: ignore[assignment]  # only gone through
        by_place = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        tops = [by_place[place] if place < len(by_place) else f"input_{place}" for place in range(len(args))]
        if self.call.together:
            args, kwargs, tops = args[:-1], args[-1], tops[: len(args) - 1]
        names: list[str] = []
        for top, value in (*zip(tops, args, strict=True), *kwargs.items()):
            for path, leaf in tree_flatten_with_path(value)[0]:
                if isinstance(leaf, Tensor):
                    inner = [str(getattr(key, "key", getattr(key, "idx", ""))) for key in path]
                    name = "_".join(filter(None, (str(top), *inner)))
                    plain = "".join(sign if sign.isalnum() else "_" for sign in name) or "input"
                    plain = plain if not plain[0].isdigit() else f"input_{plain}"
                    names.append(plain if plain not in names else f"{plain}_{len(names)}")
        return tuple(names)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.call


def like(inputs: tuple[Tensor, ...], values: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return other tensors that are handed over as `inputs` are."""
    return Inputs(values, inputs.call) if isinstance(inputs, Inputs) else tuple(values)


def how(inputs: tuple[Tensor, ...]) -> Call:
    """Return how inputs are handed over; plain tensors are given by place."""
    return inputs.call if isinstance(inputs, Inputs) else Call()


def call(model: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
    """Return all that a model gives for inputs."""
    inputs = entering(model, inputs)
    if isinstance(inputs, Inputs) and not is_flat(model):
        own = Inputs([value.clone() for value in inputs], inputs.call) if inputs.call.changed else inputs
        args, kwargs = own.arguments()
        return model(*args, **kwargs)
    return model(*inputs)


def entering(model: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a model gets for a task's inputs: as they are, unless it is marked with feeds.

    Plain tensors, which no task gave, are taken as what the model gets.
    """
    feeds = feeds_of(model)
    if not feeds or not isinstance(inputs, Inputs) or inputs.call.fed:
        return inputs
    values = list(inputs)
    for feed in feeds:
        values = [feed(value) for value in values]
    return Inputs(values, replace(inputs.call, fed=True))


def feeds_of(model: Any) -> tuple[Any, ...]:
    """Return what is done to inputs before a model gets them: `workbench.task.feeding.Feed`s, in order."""
    marked: tuple[Any, ...] = getattr(model, FEEDS, None) or getattr(model, "meta", {}).get(FEEDS, ())
    return marked


def mark_feeds(model: Any, feeds: tuple[Any, ...]) -> None:
    """Mark a model that nobody else holds with what is done to its inputs."""
    meta = getattr(model, "meta", None)
    if isinstance(meta, dict):  # of a torch.fx.GraphModule, whose copies lose every other attribute
        meta[FEEDS] = feeds
    elif feeds or feeds_of(model):
        model.__dict__[FEEDS] = feeds


def judged(output: Any, inputs: tuple[Tensor, ...]) -> Tree:
    """Return what is judged of a model's output: a tensor, or a dict of them where the task names several.

    Raises:
        WorkbenchError: There is no such thing in the output, or several tensors and nothing says which.
    """
    wanted = how(inputs).output
    if isinstance(wanted, tuple):
        if isinstance(output, tuple | list) and len(output) == len(wanted):
            return dict(zip(wanted, output, strict=True))
        return {name: _picked(output, name) for name in wanted}
    if wanted is None or isinstance(output, Tensor):
        # A file holds what is judged and nothing else; it has been picked already.
        return wanted(output) if callable(wanted) else _only(output)
    return wanted(output) if callable(wanted) else _picked(output, wanted)


def outputs_of(model: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Tree:
    """Return what is judged of a model's output for inputs.

    Raises:
        WorkbenchError: As `judged`.
    """
    output = call(model, inputs)
    if not is_flat(model):
        return judged(output, inputs)
    wanted = how(inputs).output
    if isinstance(wanted, tuple):
        return dict(zip(wanted, output if isinstance(output, tuple | list) else (output,), strict=True))
    # Whoever gives plain tensors has no task to say what is judged, and gets all of it.
    plain = isinstance(output, Tensor) or callable(wanted) or not isinstance(inputs, Inputs)
    return output if plain else _only(output)


def flat(model: nn.Module) -> None:
    """Mark a module that was made of a traced graph: it takes its inputs one by one and gives what is judged."""
    meta = getattr(model, "meta", None)
    if isinstance(meta, dict):  # of a torch.fx.GraphModule, whose copies lose every other attribute
        meta[FLAT] = True
    else:
        model.__dict__[FLAT] = True


def is_flat(model: Any) -> bool:
    """Return whether a module was made of a traced graph, and marked so."""
    return bool(getattr(model, FLAT, False) or getattr(model, "meta", {}).get(FLAT, False))


def batch_size(inputs: tuple[Tensor, ...]) -> int:
    """Return the number of samples of inputs."""
    return next(len(value) for value in inputs if not isinstance(value, Tensor) or value.dim())


def leaves(tree: Tree) -> list[Tensor]:
    """Return the tensors of a tree, in order."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def count(tree: Tree) -> int:
    """Return the number of samples of targets or outputs."""
    return len(tree) if isinstance(tree, list) else len(leaves(tree)[0])


def shape_words(tree: Tree) -> str:
    """Return the shapes of a tree's tensors, as text."""
    return " and ".join(str(tuple(value.shape)) for value in leaves(tree))


def take(tree: Tree, numbers: Tensor) -> Tree:
    """Return the samples with these numbers, int64 [n] or bool [N]."""
    if isinstance(tree, list):
        chosen = numbers.nonzero().flatten() if numbers.dtype == torch.bool else numbers
        return [tree[int(number)] for number in chosen]
    return tree_map(lambda value: value[numbers], tree)


def join(trees: Sequence[Tree]) -> Tree:
    """Return several batches as one."""
    if isinstance(trees[0], list):
        return [value for tree in trees for value in tree]
    if isinstance(trees[0], Tensor):
        return torch.cat(list(trees))
    return tree_map(lambda *values: torch.cat(values), trees[0], *trees[1:])


def tensors(tree: Any) -> Any:
    """Return a tree in which arrays are tensors."""
    if isinstance(tree, Mapping):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(tensors(value) for value in tree)
    if isinstance(tree, Tensor):
        return tree.detach()
    array = np.ascontiguousarray(tree)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _only(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if isinstance(getattr(output, "logits", None), Tensor):
        logits: Tensor = output.logits
        return logits
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        return output["logits"]  # type: ignore[no-any-return]  # looked at the line before
    named = named_tensors(output)
    if len(named) == 1:
        return next(iter(named.values()))
    raise ambiguous(output, list(named))


def ambiguous(output: Any, fitting: Sequence[str | int]) -> WorkbenchError:
    """Return the error that several tensors of an output could be judged, or that none fits."""
    named = named_tensors(output)
    if not named:
        return WorkbenchError(f"the model's output of type {type(output).__name__} holds no tensor to judge")
    choices = ", ".join(f"{key!r} {tuple(value.shape)}" for key, value in list(named.items())[:8])
    why = f"{len(fitting)} fit the metric" if fitting else "none fits the metric"
    return WorkbenchError(
        f"the model gives {len(named)} tensors, of which {why}, and nothing says which is judged; give output=... to "
        f"wb.Task: {choices}"
    )


def named_tensors(output: Any) -> dict[str | int, Tensor]:
    """Return the tensors on the first level of an output by their keys, attributes or places."""
    if isinstance(output, Mapping):
        pairs: Iterable[tuple[Any, Any]] = output.items()
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        pairs = zip(output._fields, output, strict=True)
    elif isinstance(output, tuple | list):
        pairs = enumerate(output)
    else:
        pairs = vars(output).items() if hasattr(output, "__dict__") else ()
    return {key: value for key, value in pairs if isinstance(value, Tensor)}


def _picked(output: Any, wanted: str | int) -> Tree:
    try:
        if isinstance(wanted, str) and not isinstance(output, Mapping):
            return getattr(output, wanted)
        return output[wanted]
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        have = ", ".join(repr(key) for key in named_tensors(output)) or "no tensors"
        raise WorkbenchError(
            f"the model's output of type {type(output).__name__} has no {wanted!r}; it has {have} ({first_line(error)})"
        ) from error
