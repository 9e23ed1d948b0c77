"""A reloaded file against the session: same predictions, same score, or it is not exported."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference
from workbench.measure.runtimes import Forward, eager
from workbench.steps import State

MOST_SAMPLES = 2000
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Verification:
    """How a reloaded file compares.

    Attributes:
        file: Its name.
        runtime: What it ran in.
        bytes: Its size.
        score: The file's score on the compared samples.
        expected: The session's score on the same samples.
        agreement: Part of the samples with the same prediction (or, for values, within the tolerance).
        difference: Largest difference of an output, relative to the largest output.
        n: Compared samples.
    """

    file: str
    runtime: str
    bytes: int
    score: float
    expected: float
    agreement: float
    difference: float
    n: int


def verify(
    file: str,
    runtime: str,
    size: int,
    reloaded: Forward,
    state: State,
    reference: Reference,
    agreement: float,
    progress: Progress,
) -> Verification:
    """Return how the file compares with the state on up to 2,000 validation samples.

    Raises:
        WorkbenchError: It gives other predictions than the session's.
    """
    data = reference.samples
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:MOST_SAMPLES]
    wanted_forward = eager.prepare(state, ())
    got, wanted, targets = [], [], []
    for part in progress.over(torch.split(order, reference.batch), -(-len(order) // reference.batch)):
        inputs, labels = data.batch(part.tolist())
        got.append(reloaded(inputs).double())
        wanted.append(wanted_forward(inputs).double())
        targets.append(labels)
    ours, theirs, labels = torch.cat(wanted), torch.cat(got), torch.cat(targets)
    gap = (ours - theirs).abs()
    scale = float(ours.abs().max().clamp(min=1e-12))
    if labels.is_floating_point() or ours.ndim < 2:
        same = (gap.flatten(1) if gap.ndim > 1 else gap[:, None]).amax(1) <= TOLERANCE * scale
    else:
        same = (ours.argmax(-1) == theirs.argmax(-1)).reshape(len(ours), -1).all(1)
    metric = reference.metric
    row = Verification(
        file, runtime, size,
        float(metric.values(theirs, labels, order).mean()), float(metric.values(ours, labels, order).mean()),
        float(same.double().mean()), float(gap.max()) / scale, len(order),
    )  # fmt: skip
    # One sample on an edge may fall to the other side by rounding; more is another model.
    if (1 - row.agreement) * row.n > max((1 - agreement) * row.n, 1.0):
        raise WorkbenchError(
            f"{file}, reloaded in {runtime}, agrees with the session on {row.agreement:.2%} of {row.n} samples; "
            f"{agreement:.1%} are needed, so it was not exported"
        )
    return row
