"""A part of validation that a search never looks at, for its last comparison.

Who chooses the best of many on one split chooses luck too: the winner's score there is better than elsewhere. So a
third of the samples is held out, drawn once by the seed; candidates are looked at on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import torch

from workbench.jobs.progress import Progress
from workbench.measure import Reference, Score, refer
from workbench.measure.evaluator import Evaluator
from workbench.steps import State
from workbench.task.samples import Samples
from workbench.task.task import Subset

PART = 1 / 3
LEAST_SAMPLES = 300  # a smaller split is searched as a whole: a part of it would say too little of either
Scored = tuple[Reference, Evaluator]


@dataclass(frozen=True)
class Split:
    """Validation in two parts.

    Attributes:
        searched: The baseline's results on the part that candidates are looked at with, and what runs them.
        held: Likewise of the part that is held out; None where all is searched.
    """

    searched: Scored
    held: Scored | None

    def close(self) -> None:
        """Let go of what was kept of the parts; all of validation is somebody else's."""
        for _, evaluator in (self.searched, self.held) if self.held is not None else ():
            evaluator.close()


def split_validation(whole: Scored, state: State, seed: int, memory: int | None, progress: Progress) -> Split:
    """Return validation in two parts, with the baseline scored on each; all is searched where samples are few.

    Args:
        whole: The baseline's results on all of it, and what runs models there.
        state: The baseline.
        seed: Draws the part.
        memory: Bytes that may be used to keep what enters an edited layer, None for a quarter of what is free.
        progress: Who is told, and may stop it.
    """
    reference, _ = whole
    if reference.total < LEAST_SAMPLES or not reference.metric.decomposes:
        return Split(whole, None)
    order = torch.randperm(reference.total, generator=torch.Generator().manual_seed(seed)).tolist()
    first = round(reference.total * PART)
    parts = [Subset(reference.samples, sorted(chosen)) for chosen in (order[first:], order[:first])]
    searched = _scored(parts[0], state, reference, memory, progress.part(0.0, 0.7))
    return Split(searched, _scored(parts[1], state, reference, 0, progress.part(0.7, 1.0)))


def _scored(samples: Samples, state: State, whole: Reference, memory: int | None, progress: Progress) -> Scored:
    evaluator = Evaluator(samples.called(whole.samples.call), memory)
    return refer(evaluator, state, whole.metric, whole.split, progress), evaluator


def widened(score: Score, compared: int) -> Score:
    """Return a score whose interval for other data holds for all of so many that were compared (Bonferroni)."""
    if score.population_low is None or score.population_high is None or compared < 2:
        return score
    normal = NormalDist()
    wider = normal.inv_cdf(1 - 0.025 / compared) / normal.inv_cdf(0.975)
    low, high = ((end - score.change) * wider + score.change for end in (score.population_low, score.population_high))
    return replace(score, population_low=low, population_high=high)
