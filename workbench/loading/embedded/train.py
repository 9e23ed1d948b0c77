"""Train an embedded network from its seed: `python -m workbench.loading.embedded.train digits-resnet`.

Every epoch draws fresh jitter of the training originals. The epoch with the best validation score is kept;
the test split is scored once, after that choice.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.loading.embedded import NETS, weights_path
from workbench.loading.embedded.digits_data import COPIES, digits, jitter, normalise, training_originals

State = dict[str, Tensor]


@dataclass(frozen=True)
class Training:
    """How one network is trained; an epoch is `COPIES` fresh samples of every training original."""

    epochs: int
    rate: float  # the highest of the one-cycle schedule
    decay: float = 0.05
    batch: int = 64
    seed: int = 0


TRAININGS = {
    "digits-resnet": Training(epochs=13, rate=3e-3),
    "digits-transformer": Training(epochs=130, rate=2e-3),
}


def train(name: str, training: Training, say: Callable[[str], None]) -> tuple[nn.Module, float, int]:
    """Train a network from its seed.

    Args:
        name: One of `NETS`.
        training: How.
        say: Takes a line of progress an epoch.

    Returns:
        The network at its best epoch, in evaluation mode, its validation score (0-1), and the epoch's number.
    """
    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    model = NETS[name]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.rate, weight_decay=training.decay)
    steps = training.epochs * -(-COPIES * len(training_originals()[1]) // training.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.rate, total_steps=steps)
    best, best_epoch, best_state = -1.0, 0, _copy(model)
    for epoch in range(1, training.epochs + 1):
        began = time.perf_counter()
        loss = _train_epoch(model, optimizer, schedule, _batches(training.batch, rng))
        validation = score(model, "validation")
        seconds = time.perf_counter() - began
        say(f"epoch {epoch}: loss {loss:.4f}, validation {validation:.4f}, {seconds:.1f} s")
        if validation > best:
            best, best_epoch, best_state = validation, epoch, _copy(model)
    model.load_state_dict(best_state)
    return model.eval(), best, best_epoch


def score(model: nn.Module, split: str, batch: int = 256) -> float:
    """Return the share of a split's samples that the model, put into evaluation mode, gets right."""
    images, labels = digits(split)
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(normalise(images[i : i + batch])).argmax(1).numpy() == labels[i : i + batch]).sum())
            for i in range(0, len(labels), batch)
        )
    return right / len(labels)


def _batches(size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    pixels, labels = training_originals()
    order = rng.permutation(np.tile(np.arange(len(labels)), COPIES))
    images, targets = jitter(pixels[order], rng), torch.from_numpy(labels[order])
    for start in range(0, len(order), size):
        yield normalise(images[start : start + size]), targets[start : start + size]


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batches: Iterator[tuple[Tensor, Tensor]],
) -> float:
    """Take one step a batch and return the mean loss."""
    model.train()
    losses = []
    for images, labels in batches:
        loss = F.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _copy(model: nn.Module) -> State:
    state = model.state_dict()
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}


def main(arguments: list[str] | None = None) -> None:
    """Train the named network and write its weights; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=TRAININGS)
    parser.add_argument("--out", type=Path, help="file to write (default: the embedded weights)")
    parser.add_argument("--threads", type=int, default=1, help="the shipped weights were trained on one")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    training = TRAININGS[given.name]
    model, validation, epoch = train(given.name, training, partial(print, file=sys.stderr, flush=True))
    path = given.out or weights_path(given.name)
    facts = {"subject": given.name, "validation": validation, "epoch": epoch}
    facts |= {"epochs": training.epochs, "seed": training.seed}
    save_file(_copy(model), path, {key: str(value) for key, value in facts.items()})
    print(f"{path}: epoch {epoch}, validation {validation:.4f}, test {score(model, 'test'):.4f}")


if __name__ == "__main__":
    main()
