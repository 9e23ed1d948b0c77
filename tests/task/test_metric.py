"""Metrics that fail, that are no number, or that judge samples by each other are found out and named."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure import refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.sequential import score
from workbench.search.allocate import allocate
from workbench.search.sensitivity import Point, Table, worse
from workbench.steps import Prune, Quantize, State
from workbench.task.metric import Metric

NUMBERS = torch.arange(100, 108)
OUTPUTS, TARGETS = torch.arange(8.0), torch.arange(8)


def nan_at(*places):
    return lambda outputs, targets: torch.where(torch.isin(targets, torch.tensor(places)), math.nan, outputs)


def picky(outputs, targets):
    if (targets == 5).any():
        raise ValueError("five is not a target")
    return outputs


def test_samples_on_which_a_metric_is_no_number_are_named():
    with pytest.raises(WorkbenchError, match=r"m is not a number \(NaN\) on 2 of 8 samples \(numbers 102, 106\)"):
        Metric("m", nan_at(2, 6)).values(OUTPUTS, TARGETS, NUMBERS)
    with pytest.raises(WorkbenchError, match=r"m is infinite on 8 of 8 samples \(numbers 100, 101, 102, 103, 104, …\)"):
        Metric("m", lambda outputs, _: outputs + math.inf).values(OUTPUTS, TARGETS, NUMBERS)
    with pytest.raises(WorkbenchError, match=r"m of the whole split is not a number \(NaN\)"):
        Metric("m", lambda outputs, _: outputs.sum() * math.nan, decomposes=False).values(OUTPUTS, TARGETS, NUMBERS)


def test_samples_on_which_a_metric_raises_are_named():
    with pytest.raises(WorkbenchError, match=r"m fails on 1 of 8 samples \(number 105\): five is not a target"):
        Metric("m", picky).values(OUTPUTS, TARGETS, NUMBERS)

    def only_alone(outputs, targets):
        if len(outputs) > 1:
            raise RuntimeError("one at a time")
        return outputs

    with pytest.raises(WorkbenchError, match="m fails on 8 samples judged together: one at a time"):
        Metric("m", only_alone).values(OUTPUTS, TARGETS, NUMBERS)
    with pytest.raises(WorkbenchError, match=r"m gives shape \(3,\) for 8 samples"):
        Metric("m", lambda outputs, _: outputs[:3]).values(OUTPUTS, TARGETS, NUMBERS)


def retrieval(outputs, targets):
    """Return whether the most similar other output of the batch is of the same class."""
    similar = outputs @ outputs.T - 1e9 * torch.eye(len(outputs))
    return (targets[similar.argmax(1)] == targets).double()


BY_OTHERS = {
    "retrieval": retrieval,
    "centred": lambda outputs, targets: (outputs - outputs.mean(0)).square().mean(1),
    "ranks": lambda outputs, targets: outputs[:, 0].argsort().argsort().double() / len(outputs),
}


@pytest.mark.parametrize("name", BY_OTHERS)
def test_a_metric_that_judges_by_others_is_scored_whole(name):
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(60, 4, generator=generator), torch.randint(0, 3, (60,), generator=generator)
    found = Metric(name, BY_OTHERS[name]).settled(outputs, targets)
    assert not found.decomposes
    assert found.note == f"{name} judges samples by others of the same batch: all samples are scored at once"
    together = BY_OTHERS[name](outputs, targets).double().mean()
    assert float(found.values(outputs, targets, torch.arange(60))) == pytest.approx(float(together))


def test_a_metric_that_judges_each_alone_is_scored_so():
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2, 7):
        logits, labels = torch.randn(count, 5, generator=generator), torch.randint(0, 5, (count,), generator=generator)
        for name in ("accuracy", "top5"):
            metric = Metric.of(name)
            assert metric.settled(logits, labels) is metric
        squeezed = Metric("m", lambda outputs, targets: outputs.square().sum(1).squeeze())
        assert squeezed.settled(logits, labels) is squeezed
        assert squeezed.values(logits, labels, torch.arange(count)).shape == (count,)
        assert Metric.of("mse").settled(logits, torch.randn(count, 5, generator=generator)).decomposes


def test_a_metric_that_fails_on_single_samples_is_scored_whole():
    def spread(outputs, targets):
        if len(outputs) < 2:
            raise ValueError("needs two")
        return outputs[:, 0]

    found = Metric("m", spread).settled(torch.randn(8, 2), torch.arange(8))
    assert found.note.startswith("m cannot judge some of the samples without the others")


def embedding(count=60):
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(count, 6, generator=generator), torch.randint(0, 3, (count,), generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    return model.eval(), inputs, labels


def test_a_session_scores_such_a_metric_whole_and_says_so(open_session):
    model, inputs, labels = embedding(200)
    metric = Metric("recall at 1", retrieval, "%", bounds=(0.0, 1.0))
    session = open_session(wb.Subject("retrieval", model, wb.Task(validation=(inputs, labels), metric=metric)))
    with torch.no_grad():
        truth = float(retrieval(model(inputs), labels).mean())
    assert session.baseline.score.value == pytest.approx(truth)
    found = session.apply(Prune(amount=0.5))
    assert found.score.exact
    assert found.score.population_low <= found.score.change <= found.score.population_high
    assert "judges samples by others of the same batch" in " ".join(found.notes)


def test_a_baseline_on_which_a_metric_is_no_number_is_refused():
    model, inputs, labels = embedding()
    task = wb.Task(validation=(inputs, labels), metric=Metric("m", lambda o, t: torch.where(t == 2, math.nan, o[:, 0])))
    evaluator = Evaluator(task.split("validation"))
    with pytest.raises(WorkbenchError, match=r"m is not a number \(NaN\) on \d+ of 60 samples"):
        refer(evaluator, State(model), task.metric)


def far(outputs, targets):
    """Return a result that is no number where the output lost most of its size."""
    size = outputs.abs().sum(1)
    return torch.where(size < 0.05, math.nan, size)


def test_a_step_after_which_a_metric_is_no_number_is_refused_and_never_without_drop(open_session):
    model, inputs, labels = embedding()
    with torch.no_grad():
        known = model(inputs).abs().sum(1) > 0.05
    inputs, labels = inputs[known], labels[known]
    session = open_session(wb.Subject("far", model, wb.Task(validation=(inputs, labels), metric=far)))
    with pytest.raises(WorkbenchError, match=r"far is not a number \(NaN\) on \d+ of \d+ samples \(number"):
        session.apply(Prune(amount=1.0))
    assert not session.recipe.steps
    table = session.sensitivity(Prune(), (0.1, 1.0))
    broken = [point for point in table.points if point.score is None]
    assert broken
    assert all("far is not a number" in point.reason for point in broken)
    assert all(table.drop(point) == math.inf for point in broken)


def test_a_score_that_is_no_number_is_no_choice():
    nothing = wb.Score(math.nan, math.nan, math.nan, 10, 10, math.nan, math.nan, math.nan)
    assert worse(nothing) == math.inf
    fine = wb.Score(0.9, 0.9, 0.9, 10, 10, -0.1, -0.1, -0.1)
    points = (Point("a", 8, fine, 900), Point("a", 2, nothing, 100))
    table = Table(Quantize().facts(), wb.Score(1.0, 1.0, 1.0, 10, 10), ("a",), (8, 2), points)
    cost = {None: 1000.0, 8: 900.0, 2: 100.0}
    assert allocate(table, lambda _, strength: cost[strength], 950.0) == {"a": 8}
    with pytest.raises(WorkbenchError, match="with the strongest choice of every part it is 900"):
        allocate(table, lambda _, strength: cost[strength], 500.0)


def test_the_loop_until_narrow_names_a_failing_sample():
    model, inputs, labels = embedding()
    task = wb.Task(validation=(inputs, labels))
    evaluator = Evaluator(task.split("validation"))
    reference = refer(evaluator, State(model), task.metric)

    def predict(numbers):
        return torch.full((len(numbers), 1), math.nan), torch.zeros(len(numbers))

    broken = Metric("m", lambda outputs, _: outputs[:, 0])
    with pytest.raises(WorkbenchError, match="m is not a number"):
        score(predict, replace(reference, metric=broken))
