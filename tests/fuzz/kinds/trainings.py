"""Kept trainings that somebody changed: they are gone on with or begun anew, and nothing is raised either way."""

from __future__ import annotations

import io
import logging
import random
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch

from tests.fuzz.kind import Kind
from tests.fuzz.kinds.checkpoints import ODD_TYPES, Evil, saved
from tests.fuzz.values import NUMBERS, TEXTS, anything, copied, damaged
from tests.subjects import vectors_subject
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Tick
from workbench.steps import Context, FineTune, State

STEPS = tuple(
    FineTune(epochs=2, batch_size=300, optimizer=optimizer, schedule=schedule)
    for optimizer, schedule in (("adamw", "one-cycle"), ("adamw", "step"), ("sgd", "one-cycle"), ("sgd", "cosine"))
)


class Trainings(Kind):
    name: ClassVar[str] = "training"
    # What goes on writes its own next file, and removes it at the end.
    allowed: ClassVar[tuple[str, ...]] = ("open", "os.rename", "os.remove", "os.mkdir")

    def prepare(self, home: Path) -> None:
        logging.disable(logging.WARNING)
        self.subject = vectors_subject()
        self.files = []
        for number, step in enumerate(STEPS):
            context = Context(self.subject, folder=home / str(number))
            state = State.of(self.subject)
            for found in step.train(state, context):
                if isinstance(found, Tick) and found.figures and found.figures.score is not None:
                    break
            (file,) = (home / str(number)).glob("*.pt")
            self.files.append(file)
        for number, rng in enumerate(map(random.Random, range(40))):  # what torch loads when it meets odd tensors
            with suppress(WorkbenchError, RecursionError, TypeError):  # not all values can be written
                self.mutant(rng, home / f"warm-{number}")
                self.read(home / f"warm-{number}")

    def mutant(self, rng: random.Random, place: Path) -> str:
        self.number = rng.randrange(len(STEPS))
        file = self.files[self.number]
        place.mkdir()
        whole = file.read_bytes()
        if rng.random() < 0.2:
            (place / file.name).write_bytes(damaged(rng, whole))
            return "bytes"
        if rng.random() < 0.1:
            stream = io.BytesIO()
            with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(stream, "w") as archive:
                changed = rng.choice(source.namelist())
                for name in source.namelist():
                    data = source.read(name)
                    packed = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                    archive.writestr(name, damaged(rng, data) if name == changed else data, packed)
            (place / file.name).write_bytes(stream.getvalue())
            return f"member {changed}"
        facts = torch.load(io.BytesIO(whole), weights_only=True)
        done = _changed(rng, facts)
        (place / file.name).write_bytes(saved(facts, rng.random() < 0.05))
        return done

    def read(self, place: Path) -> Any:
        """Train to the end; an accepted one is one that was gone on with."""
        context = Context(self.subject, folder=place)
        state = State.of(self.subject)
        ticks = [found for found in STEPS[self.number].train(state, context) if isinstance(found, Tick)]
        if not any("going on" in tick.message for tick in ticks):
            raise WorkbenchError("begun anew")
        return ticks

    def use(self, made: Any) -> None:
        assert not any(Path(self.files[0]).parent.parent.glob("mutant/*.part"))


def _places(facts: Any) -> list[tuple[Any, Any]]:
    found, waiting, seen = [], [facts], {id(facts)}
    while waiting:
        part = waiting.pop()
        for key, inner in list(part.items() if isinstance(part, dict) else enumerate(part)):
            found.append((part, key))
            if isinstance(inner, dict | list) and id(inner) not in seen:  # it may hold itself
                seen.add(id(inner))
                waiting.append(inner)
    return found


def _changed(rng: random.Random, facts: Any) -> str:
    """Change one or two places: other numbers, other tensors, other keys, or things that no training has."""
    done = []
    if rng.random() < 0.2:  # of the right form, so it is gone on with
        for value in facts["now"]["model"].values():
            value.mul_(rng.choice((0, 1, -1, 2**40)))
        return "other weights"
    for _ in range(rng.choice((1, 1, 2))):
        every = _places(facts)
        plain = [(part, key) for part, key in every if not isinstance(part[key], dict | list | torch.Tensor)]
        part, key = rng.choice(plain if rng.random() < 0.5 else every)
        value, how = part[key], rng.randrange(8)
        if how == 0:
            part.pop(key)
        elif how == 1 and isinstance(part, dict):
            part[rng.choice((*TEXTS, *NUMBERS[:9]))] = copied(value)
        elif how < 4 and isinstance(value, torch.Tensor):
            part[key] = _odd(rng, value)
        elif how == 4:
            part[key] = Evil() if rng.random() < 0.2 else facts
        elif how == 5:
            part[key] = copied(rng.choice([other[name] for other, name in every]))
        elif isinstance(value, int | float):
            part[key] = rng.choice((*NUMBERS, value + 1, value * 2, -value, float(value), str(value)))
        else:
            part[key] = anything(rng)
        done.append(f"{how} at {key!r:.40}")
    return ", ".join(done)


def _odd(rng: random.Random, value: torch.Tensor) -> Any:
    floating = value.float()
    return (
        lambda: value.to(rng.choice(ODD_TYPES)),
        lambda: value.to_sparse(),
        lambda: torch.empty(value.shape, device="meta"),
        lambda: torch.quantize_per_tensor(floating, 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: value.expand(3, *value.shape),
        lambda: torch.zeros(()).expand(2**40),
        lambda: torch.full_like(value, rng.choice((0, 1, 255))) if value.dtype == torch.uint8 else value * -1,
        lambda: torch.full_like(floating, rng.choice((float("nan"), float("inf"), 1e30, -1.0, 0.0))),
        lambda: value.flatten()[: value.numel() // 2],
    )[rng.randrange(10)]()
