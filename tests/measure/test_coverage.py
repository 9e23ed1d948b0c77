"""Intervals of real edits: at every stage they hold the exact score as often as they say."""

import itertools
import random
from dataclasses import replace

import pytest
import torch

from workbench.measure import anytime, refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.strata import stratify
from workbench.steps import Context, Prune, Quantize, State
from workbench.task.metric import Metric

EDITS, LEAST = 400, 0.93
# Takes results for outputs, so that each edited model runs once and not at every look.
AS_JUDGED = Metric("as judged", lambda outputs, _: outputs, "%", bounds=(0.0, 1.0))


def edits(count):
    """Return random edits of one layer or all, from harmless to ruinous."""
    chance = random.Random(11)  # noqa: S311  # a repeatable sequence is wanted
    for _ in range(count):
        layers = chance.choice(["*", "conv1", "conv2", "conv3", "hidden", "fc"])
        if chance.random() < 0.5:
            yield Prune(layers=layers, amount=round(chance.uniform(0.05, 0.98), 3))
        else:
            granularity = chance.choice(["channel", "tensor"])
            yield Quantize(layers=layers, bits=chance.randint(2, 6), granularity=granularity)


def test_every_stage_of_random_edits_holds_the_exact_score(images):
    state, context = State(images.model), Context(images)
    evaluator = Evaluator(images.task.split("validation"), least=0.0)
    reference = refer(evaluator, state, images.task.metric)
    everything = torch.arange(reference.total)
    outputs, targets = evaluator.prepare(state)(everything)
    margin = outputs.topk(2).values.diff().abs().flatten()
    held, together, changed = {}, [], 0
    for seed, step in enumerate(edits(EDITS)):
        overlay = {name: change.weight for name, change in step.changes(state, context).items()}
        outputs, targets = evaluator.prepare(state, overlay)(everything)
        results = reference.metric.judge(outputs, targets).double()
        truth = float(results.mean())
        changed += bool((results != reference.results).any())
        strata = stratify(reference.results, margin, reference.metric, seed)
        mine = replace(reference, metric=AS_JUDGED, strata=strata, batch=32)
        looks = list(anytime(lambda numbers, found=results: (found[numbers], numbers), mine))
        right = [look.low - 1e-12 <= truth <= look.high + 1e-12 for look in looks]
        for stage, holds in enumerate(right):
            held.setdefault(stage, []).append(holds)
        together.append(all(right))
        assert looks[-1].exact
        assert looks[-1].value == pytest.approx(truth, abs=1e-12)
        assert all(one.n < other.n for one, other in itertools.pairwise(looks))
    assert changed > EDITS / 2
    assert len(held) >= 5
    assert {stage: sum(holds) / len(holds) for stage, holds in held.items() if sum(holds) < LEAST * len(holds)} == {}
    assert sum(together) / len(together) >= LEAST
