"""Train an embedded network from its seed: `python -m workbench.loading.embedded.train digits-resnet`.

Every epoch of plain digits draws fresh jitter of the training originals. The epoch with the best validation score is
kept; the test split is scored once, after that choice.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.loading.embedded import weights_path
from workbench.loading.embedded.digits_data import COPIES, jitter, normalise, originals_of
from workbench.loading.embedded.subjects import SUBJECTS, Training
from workbench.task.batch import Tree, outputs_of
from workbench.task.task import Split, Task

State = dict[str, Tensor]
Batches = Iterator[tuple[tuple[Tensor, ...], Tree]]
JITTERED = ("digits-resnet", "digits-transformer")


def train(name: str, training: Training, say: Callable[[str], None]) -> tuple[nn.Module, float, int]:
    """Train a network from its seed.

    Args:
        name: One of `SUBJECTS`.
        training: How.
        say: Takes a line of progress an epoch.

    Returns:
        The network at its best epoch, in evaluation mode, its validation score (0-1), and the epoch's number.
    """
    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    task = SUBJECTS[name].task()
    model = SUBJECTS[name].net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    count = COPIES * len(originals_of("train")[1]) if name in JITTERED else len(task.split("train"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.rate, weight_decay=training.decay)
    steps = training.epochs * -(-count // training.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.rate, total_steps=steps)
    best, best_epoch, best_state = -math.inf, 0, _copy(model)
    for epoch in range(1, training.epochs + 1):
        began = time.perf_counter()
        batches = _jittered(training.batch, rng) if name in JITTERED else _drawn(task, training.batch, rng)
        loss = _train_epoch(model, task, optimizer, schedule, batches)
        validation = score(model, task, "validation")
        seconds = time.perf_counter() - began
        say(f"epoch {epoch}: loss {loss:.4f}, validation {validation:.4f}, {seconds:.1f} s")
        better = validation if task.metric.higher_is_better else -validation
        if better > best:
            best, best_epoch, best_state = better, epoch, _copy(model)
    model.load_state_dict(best_state)
    return model.eval(), abs(best), best_epoch


def score(model: nn.Module, task: Task, split: Split, batch: int = 256) -> float:
    """Return the score of a split by the task's metric; the model is put into evaluation mode."""
    data, parts = task.split(split), []
    model.eval()
    with torch.inference_mode():
        for numbers in torch.split(torch.arange(len(data)), batch):
            inputs, targets = data.batch(numbers.tolist())
            parts.append((outputs_of(model, inputs), targets, numbers))
        return task.metric.score_of(parts)


def _jittered(size: int, rng: np.random.Generator) -> Batches:
    """Yield fresh copies of the digits that are trained on."""
    pixels, labels = originals_of("train")
    order = rng.permutation(np.tile(np.arange(len(labels)), COPIES))
    images, targets = jitter(pixels[order], rng), torch.from_numpy(labels[order])
    for start in range(0, len(order), size):
        batch = normalise(images[start : start + size]).contiguous(memory_format=torch.channels_last)
        yield (batch,), targets[start : start + size]


def _drawn(task: Task, size: int, rng: np.random.Generator) -> Batches:
    data = task.split("train")
    order = rng.permutation(len(data))
    for start in range(0, len(order), size):
        yield data.batch(order[start : start + size].tolist())


def _train_epoch(
    model: nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batches: Batches,
) -> float:
    """Take one step a batch and return the mean loss."""
    model.train()
    losses = []
    for inputs, targets in batches:
        loss = task.training_loss(outputs_of(model, inputs), targets)
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
    parser.add_argument("name", choices=SUBJECTS)
    parser.add_argument("--out", type=Path, help="file to write (default: the embedded weights)")
    parser.add_argument("--threads", type=int, default=1, help="the shipped weights were trained on one")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    training = SUBJECTS[chosen.name].training
    model, validation, epoch = train(chosen.name, training, partial(print, file=sys.stderr, flush=True))
    path = chosen.out or weights_path(chosen.name)
    facts = {"subject": chosen.name, "validation": validation, "epoch": epoch}
    facts |= {"epochs": training.epochs, "seed": training.seed}
    save_file(_copy(model), path, {key: str(value) for key, value in facts.items()})
    test = score(model, SUBJECTS[chosen.name].task(), "test")
    print(f"{path}: epoch {epoch}, validation {validation:.4f}, test {test:.4f}")


if __name__ == "__main__":
    main()
