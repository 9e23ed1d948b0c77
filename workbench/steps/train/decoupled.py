"""Soft targets taken apart: the label's class against all others, and the others among themselves.

Zhao et al.: "Decoupled Knowledge Distillation", 2022. In plain soft targets the second part is weighed by what the
teacher leaves to the other classes, so that a teacher who is sure teaches nothing of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def decoupled_targets(outputs: Tensor, wanted: Tensor, labels: Tensor, temperature: float, others: float) -> Tensor:
    """Return both parts of the Kullback-Leibler divergence of softened classes, times the temperature squared.

    Args:
        outputs: Logits [n, classes].
        wanted: The teacher's, of the same shape.
        labels: Class numbers [n].
        temperature: What both are divided by.
        others: Weight of the part among the other classes, where the part of the label's class counts once.
    """
    mine, theirs = (x.float() / temperature for x in (outputs, wanted))
    label = F.one_hot(labels, mine.shape[1]).bool()
    target = F.kl_div(_label_or_not(mine, label), _label_or_not(theirs, label), reduction="batchmean", log_target=True)
    mine, theirs = (F.log_softmax(x[~label].view(len(x), -1), dim=1) for x in (mine, theirs))
    rest = F.kl_div(mine, theirs, reduction="batchmean", log_target=True)
    return (target + others * rest) * temperature**2


def _label_or_not(logits: Tensor, label: Tensor) -> Tensor:
    """Return the logarithms of the probabilities of the label's class and of all others together, [n, 2]."""
    whole = logits.logsumexp(1)
    rest = logits[~label].view(len(logits), -1).logsumexp(1)
    return torch.stack([logits[label] - whole, rest - whole], 1)
