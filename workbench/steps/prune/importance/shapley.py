"""Shapley values: what a channel adds to the score on average, whichever other channels are there.

Shapley: "A Value for n-Person Games", 1953; Castro, Gómez, Tejada: "Polynomial calculation of the Shapley value based
on sampling", 2009 (computed by captum's `ShapleyValueSampling`); Ghorbani, Zou: "Neuron Shapley", 2020. The units of
one group are the players, the other groups stay. The values of a group sum to the score with all of its units less the
score with none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion
from workbench.task.batch import batch_size, outputs_of
from workbench.task.task import Task

PERMUTATIONS = 16
SAMPLES = 128
BATCH = 64

Value = Callable[[Tensor], float]


class Game:
    """The score of a model in which only some units of a group are there: `coalition -> value`.

    Args:
        model: Played by a copy of it.
        group: Its units are the players.
        task: Its metric on up to 128 calibration samples is the value; turned round where lower is better.
    """

    def __init__(self, model: nn.Module, group: Group, task: Task) -> None:
        self.players, self._group, self._task = len(group.units), group, task
        data, end = task.split("calibration"), min(len(task.split("calibration")), SAMPLES)
        self._batches = [data.batch(range(start, min(start + BATCH, end))) for start in range(0, end, BATCH)]
        self._played = twin(copy.deepcopy(model))
        tensors = {**dict(self._played.named_parameters()), **dict(self._played.named_buffers())}
        self._own = {slot.parameter: tensors[slot.parameter].detach() for unit in group.units for slot in unit}
        self._whole = {name: value.clone() for name, value in self._own.items()}

    def __call__(self, coalition: Tensor) -> float:
        """Return the score with the units where `coalition`, [units], is not zero."""
        for name, value in self._own.items():
            value.copy_(self._whole[name])
        for unit, there in zip(self._group.units, coalition.tolist(), strict=True):
            for slot in unit if not there else ():
                self._own[slot.parameter].index_fill_(
                    slot.dim, torch.tensor(slot.indices, device=self._own[slot.parameter].device), 0
                )
        parts, seen = [], 0
        for inputs, targets in self._batches:
            numbers = torch.arange(seen, seen + batch_size(inputs))
            with TURN, torch.inference_mode():
                parts.append((outputs_of(self._played, inputs), targets, numbers))
            seen += len(numbers)
        score = self._task.metric.score_of(parts)
        return score if self._task.metric.higher_is_better else -score


def sampled_values(
    value: Value, players: int, permutations: int, seed: int, progress: Progress | None = None
) -> Tensor:
    """Return estimates of the Shapley values of a game, float64 [players].

    Their sum is the value of all players less that of none, for any number of permutations.

    Args:
        value: Of a coalition, given as [players] of ones and zeros.
        players: How many there are.
        permutations: Orders of the players that are drawn; the error falls with the square root of it.
        seed: Of the drawing.
        progress: Where progress is told, and cancelling asked.
    """
    from captum.attr import ShapleyValueSampling  # slow to import

    progress = progress or Progress()
    done, total = [0], permutations * players + 1

    def forward(coalition: Tensor) -> Tensor:
        progress.update(min(done[0] / total, 1.0), f"coalition {done[0]} of {total}")
        done[0] += 1
        return torch.tensor([value(coalition[0])], dtype=torch.float64)

    everyone = torch.ones(1, players, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shares: Tensor = ShapleyValueSampling(forward).attribute(everyone, n_samples=permutations)
    return shares[0].detach()


@register
class Shapley(Criterion):
    kind = "shapley"
    position = 14
    title = "Shapley values of channels (captum)"
    needs_data = True
    comparable = True

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        players = sum(len(group.units) for group in groups)
        scores, done = {}, 0
        for group in groups:
            end = done + len(group.units)
            progress = context.progress.part(done / players, end / players, f"Shapley values of {group.name}")
            game = Game(model, group, context.subject.task)
            scores[group.name] = sampled_values(game, game.players, PERMUTATIONS, context.seed, progress)
            done = end
        return scores
