"""What a file is judged by: the task's metric in its unit, and predictions where there are classes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.export.verify import class_dim, tolerance_of, verify
from workbench.jobs.progress import Progress
from workbench.measure.evaluator import Evaluator
from workbench.measure.reference import refer
from workbench.steps import State
from workbench.task.metric import Metric

ACCURACY, ERROR = Metric.of("accuracy"), Metric.of("mse")


def judged(model, inputs, targets, metric, change, agreement=0.99):
    """Verify a file whose outputs are the model's, changed."""
    task = wb.Task(validation=(inputs, targets), metric=metric)
    subject = wb.Subject("net", model.eval(), task)
    state = State.of(subject)
    reference = refer(Evaluator(task.split("validation"), 0), state, task.metric)
    with torch.no_grad():
        return verify(
            "model.x", "a runtime", 1, lambda given: change(model(*given)), state, reference, agreement, Progress()
        )


def flipped(count):
    """Return a change that moves the predictions of the first samples to another class."""
    left = [count]

    def change(outputs):
        now = min(left[0], len(outputs))
        left[0] -= now
        return torch.cat([outputs[:now].roll(1, 1), outputs[now:]])

    return change


def test_one_of_a_hundred_may_differ_where_99_in_100_are_needed():
    torch.manual_seed(0)
    inputs = torch.randn(100, 4)
    model = nn.Linear(4, 3)
    targets = (model(inputs).argmax(1) + 1) % 3  # all wrong, so the score stays what it is
    row = judged(model, inputs, targets, lambda o, t: (o.argmax(1) == t).double() * 0, flipped(1))
    assert not row.classes, "a function states no bounds"
    metric = Metric("nothing", lambda o, _: torch.zeros(len(o)), "%", bounds=(0.0, 1.0))
    assert judged(model, inputs, targets, metric, flipped(1)).agreement == 0.99
    with pytest.raises(WorkbenchError, match=r"agrees with the session on 98.00% of 100 predictions; 99.0%"):
        judged(model, inputs, targets, metric, flipped(2))


def test_a_score_in_per_cent_may_differ_by_half_a_point():
    torch.manual_seed(0)
    inputs, model = torch.randn(1000, 4), nn.Linear(4, 3)
    targets = model(inputs).argmax(1)
    assert judged(model, inputs, targets, "accuracy", flipped(5), 0.9).score == pytest.approx(0.995)
    with pytest.raises(WorkbenchError, match=r"has top-1 accuracy 99\.40 % on 1000 samples where the session has 100"):
        judged(model, inputs, targets, "accuracy", flipped(6), 0.9)


def test_values_are_judged_by_their_metric_and_not_one_by_one():
    torch.manual_seed(0)
    inputs, model = torch.randn(400, 4), nn.Linear(4, 2)
    targets = model(inputs).detach() + 0.1 * torch.randn(400, 2)
    rounded = lambda outputs: (outputs * 100).round() / 100  # noqa: E731  # as short as it can be
    row = judged(model, inputs, targets, "mse", rounded)
    assert row.agreement < 0.9
    assert abs(row.score - row.expected) <= row.tolerance
    with pytest.raises(WorkbenchError, match="has mean squared error"):
        judged(model, inputs, targets, "mse", lambda outputs: outputs + 0.1)
    with pytest.raises(WorkbenchError, match=r"of 400 samples; 100\.0% are needed"):
        judged(model, inputs, targets, "mse", rounded, 1.0)
    with pytest.raises(WorkbenchError, match="values that are no numbers"):
        judged(model, inputs, targets, "mse", lambda outputs: outputs * float("nan"))


def test_predictions_of_segments_go_over_the_second_dimension():
    torch.manual_seed(0)
    inputs, model = torch.randn(50, 3, 6, 6), nn.Conv2d(3, 4, 1)
    targets = model(inputs).argmax(1)
    metric = Metric("pixels", lambda o, t: (o.argmax(1) == t).double().mean((1, 2)), "%", bounds=(0.0, 1.0))

    def one_pixel(outputs):
        made = outputs.clone()
        made[:5, :, 0, 0] = made[:5, :, 0, 0].roll(1, 1)
        return made

    row = judged(model, inputs, targets, metric, one_pixel, 0.99)
    assert row.classes
    assert row.agreement == pytest.approx(1 - 5 / 1800)


def test_where_classes_are():
    whole = SimpleNamespace(decomposes=False, bounded=True)
    labels = torch.zeros(6, dtype=torch.long)
    assert class_dim(torch.zeros(6, 4), labels, ACCURACY) == 1
    assert class_dim(torch.zeros(6, 4), labels, whole) is None, "embeddings"
    assert class_dim(torch.zeros(6, 4), torch.zeros(6), ACCURACY) is None
    assert class_dim(torch.zeros(6, 5, 9), torch.zeros(6, 5, dtype=torch.long), ACCURACY) == 2
    assert class_dim(torch.zeros(6, 1), labels, ACCURACY) is None
    assert class_dim(torch.zeros(6), labels, ACCURACY) is None


def test_the_tolerance_is_in_the_metrics_unit():
    assert tolerance_of(ACCURACY, torch.zeros(3), torch.zeros(3)) == 0.005
    assert tolerance_of(ERROR, torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(0.05)
    assert tolerance_of(ERROR, torch.tensor(2.0), torch.tensor(3.0)) == pytest.approx(0.03)


def test_outputs_of_another_number_of_samples_are_one_line():
    inputs, model = torch.randn(30, 4), nn.Linear(4, 3)
    with pytest.raises(WorkbenchError, match=r"gives \(2, 3\) for 30 samples where the session has \(30, 3\)"):
        judged(model, inputs, model(inputs).argmax(1), ACCURACY, lambda outputs: outputs[:2])
