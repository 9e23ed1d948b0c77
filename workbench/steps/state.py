"""What a recipe has built so far: a model, how its tensors are stored, and where its modules came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.model.subject import Subject
from workbench.model.twin import model_on, sharing_copy
from workbench.steps.change import Change
from workbench.task.batch import feeds_of, mark_feeds
from workbench.task.feeding import Feed
from workbench.task.identity import code_digest, tensor_bytes


@dataclass(frozen=True)
class State:
    """A built model and how its tensors are to be stored. Nobody edits `model` in place once it is here.

    States share the tensors in which they do not differ, with each other and with the subject.

    Attributes:
        model: The module, with the compressed values in ordinary dense tensors.
        codings: How a parameter is stored, by name; a parameter that is absent is stored as it is.
        pruned: Parameters whose zeros are a mask: training keeps them zero.
        notes: What the user has to know, such as groups that could not be cut.
        origins: For modules that stand for a module of the subject under another name, that name.
    """

    model: nn.Module
    codings: Mapping[str, Coding] = field(default_factory=dict)
    pruned: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Subject) -> State:
        """Return the state of a subject that nothing was done to."""
        return cls(subject.model, subject.codings, notes=subject.notes)

    def origin(self, module: str) -> str:
        """Return the name that a module's counterpart has in the subject; its own, if nothing else is known."""
        return self.origins.get(module, module)

    def counterparts(self) -> dict[str, str]:
        """Return for names of the subject's modules what stands for them here, where the names differ."""
        names = {name for name, _ in self.model.named_modules()}
        return {origin: name for name, origin in self.origins.items() if origin not in names}

    def with_model(
        self,
        model: nn.Module,
        *,
        codings: Mapping[str, Coding] | None = None,
        origins: Mapping[str, str] | None = None,
        why: str = "",
    ) -> State:
        """Return the state with another model in place, and nothing left over from the one before.

        Codings and masks stay for parameters that are still there; a weight that left its grid is stored in full.

        Args:
            model: Its new modules are its own, tensors that did not change are better shared.
            codings: Instead of the state's own, where sizes changed.
            origins: For new modules, the module of this state's model whose output each of them gives.
            why: The cause by which a weight left its grid; each such weight is then named in a note.
        """
        parameters = dict(model.named_parameters(remove_duplicate=False))
        before = self.codings if codings is None else codings
        fitting = {
            name: coding
            for name, coding in before.items()
            if name in parameters and coding.holds(parameters[name].detach())
        }
        lost = [name for name in before if name in parameters and name not in fitting] if why else []
        if self.feeds and not feeds_of(model):  # a new module is the step's own
            mark_feeds(model, self.feeds)
        modules = {name for name, _ in model.named_modules()}
        traced = {**self.origins, **{new: self.origin(old) for new, old in (origins or {}).items()}}
        return replace(
            self,
            model=model,
            codings=fitting,
            pruned=self.pruned & parameters.keys(),
            notes=(*self.notes, *(f"{name}: stored in full again, because {why}" for name in lost)),
            origins={name: origin for name, origin in traced.items() if name in modules},
        )

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """What is done to the task's inputs before the model gets them, in order; the model is marked with it."""
        return feeds_of(self.model)

    def with_feed(
        self,
        feed: Feed,
        model: nn.Module | None = None,
        *,
        codings: Mapping[str, Coding] | None = None,
        origins: Mapping[str, str] | None = None,
    ) -> State:
        """Return the state with one thing more done to its inputs.

        Args:
            feed: What.
            model: The model that takes what comes out, nobody else's; a copy of the state's own where it does.
            codings: As of `with_model`.
            origins: Likewise.
        """
        model = sharing_copy(self.model) if model is None else model
        mark_feeds(model, (*self.feeds, feed))
        return self.with_model(model, codings=codings, origins=origins)

    def with_changes(self, changes: Mapping[str, Change]) -> State:
        """Return the state with other values in some parameters; all others are shared with this one."""
        values = {name: change.weight for name, change in changes.items()}
        return replace(self.marked(changes), model=sharing_copy(self.model, values))

    def marked(self, changes: Mapping[str, Change]) -> State:
        """Return the state with the codings and masks that `changes` bring, over the model as it is.

        With the new values as an overlay over the model that is a preview: nothing is copied.
        """
        codings = dict(self.codings)
        for name, change in changes.items():
            coding = change.coding or codings.get(name)
            # Zeroing leaves a tensor on its old grid; anything else may not, and then it is stored in full.
            if coding is not None and coding.holds(change.weight):
                codings[name] = coding
            else:
                codings.pop(name, None)
        pruned = self.pruned | {name for name, change in changes.items() if change.pruned}
        return replace(self, codings=codings, pruned=pruned)

    def with_masks(self, *names: str) -> State:
        """Return the state with more parameters whose zeros are a mask."""
        return replace(self, pruned=self.pruned.union(names))

    def with_notes(self, *notes: str) -> State:
        """Return the state with more to say."""
        return replace(self, notes=(*self.notes, *notes))

    def on(self, device: torch.device) -> State:
        """Return the state on a device; itself where it is there."""
        model = model_on(self.model, device)
        if model is self.model:
            return self
        return replace(self, model=model, codings={name: coding.on(device) for name, coding in self.codings.items()})

    def parameter(self, name: str) -> Tensor:
        """Return a parameter's values, without gradient."""
        return self.model.get_parameter(name).detach()

    def digest(self) -> str:
        """Return hex digits that tell the state from all others: its code, its tensors and how they are stored."""
        digest = hashlib.sha256(f"{sorted(self.pruned)} {code_digest(self.model)}{self.feeds or ''}".encode())
        for name, value in self.model.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + tensor_bytes(value))
        first: dict[int, str] = {}
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            if first.setdefault(id(parameter), name) != name:
                digest.update(f"{name} is {first[id(parameter)]}".encode())
        for name, coding in sorted(self.codings.items()):
            digest.update(f"{name} {coding.kind} {coding.facts()} {coding.entropy}".encode())
        return digest.hexdigest()
