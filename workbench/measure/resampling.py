"""What a score of a whole split says of other data: halves of the samples that there are, drawn again and again.

A half that is drawn without putting samples back differs from the whole as the whole does from all data of its kind:
its variance is N/2 over N/2, times that of a half, which is that of the whole (McCarthy, "Replication: An Approach to
the Analysis of Data from Complex Surveys", 1966; Shao and Wu, "A General Theory for Jackknife Variance Estimation",
1989). The usual bootstrap draws samples twice, and a metric that judges samples by each other, such as retrieval, would
take a twin for the best neighbour. Both models are judged on the same half, so that how hard samples are drops out.
"""

from __future__ import annotations

import time

import torch

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure.reference import Reference
from workbench.task.batch import Tree

DRAWS, FEWEST = 400, 100
SECONDS = 10.0
LEVEL = 0.95
# Below so many samples a half is too little to tell anything.
LEAST_SAMPLES = 20


def half_samples(reference: Reference, outputs: Tree, change: float, progress: Progress) -> dict[str, float]:
    """Return the ends of the change's interval for other data, {} where drawing takes too long or the metric fails.

    Args:
        reference: The baseline's outputs on all samples, and the metric.
        outputs: Of the other model.
        change: Of the score, on the samples as they are.
        progress: Where cancelling is asked.
    """
    if reference.seen is None or reference.total < LEAST_SAMPLES:
        return {}
    before, targets = reference.seen
    generator, start = torch.Generator().manual_seed(0), time.perf_counter()
    scores = [reference.metric.subset_scores(some, targets) for some in (outputs, before)]
    changes: list[float] = []
    for draw in range(DRAWS):
        progress.check()
        passed = time.perf_counter() - start
        if passed > SECONDS and (draw >= FEWEST or passed / max(draw, 1) * FEWEST > 3 * SECONDS):
            break
        drawn = torch.randperm(reference.total, generator=generator)[: reference.total // 2].sort().values
        try:
            new, old = (score(drawn) for score in scores)
        except WorkbenchError:  # as where a half holds one class only
            continue
        changes.append(new - old)
    if len(changes) < FEWEST:
        return {}
    apart = torch.tensor(changes, dtype=torch.float64)
    part = (1 - LEVEL) / 2
    ends = (apart - apart.mean()).quantile(torch.tensor([part, 1 - part], dtype=torch.float64))
    bounds = reference.metric.bounds
    reach = bounds[1] - bounds[0] if bounds is not None else float("inf")
    low, high = change + float(ends[0]), change + float(ends[1])
    return {"population_low": max(low, -reach), "population_high": min(high, reach)}
