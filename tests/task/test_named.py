"""Metrics by name give what scikit-learn and torchmetrics give, and theirs are taken as they are."""

import math

import pytest
import torch
import torchmetrics
from sklearn import metrics as sk
from torchmetrics.functional.text import word_error_rate

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.task.batch import take
from workbench.task.classes import Classes
from workbench.task.metric import Metric
from workbench.task.named import directed, edits, metric_of

COUNT, CLASSES = 120, 5


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(classes, *shape, seed=1):
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(seed))


def score(metric, outputs, targets):
    return metric.score(outputs, targets, torch.arange(len(targets)))


def test_f1_and_iou_are_scikit_learns():
    outputs, targets = drawn(COUNT, CLASSES), labels(CLASSES, COUNT)
    said = outputs.argmax(1)
    assert score(Metric.of("f1"), outputs, targets) == pytest.approx(sk.f1_score(targets, said, average="macro"))
    assert score(Metric.of("miou"), outputs, targets) == pytest.approx(sk.jaccard_score(targets, said, average="macro"))
    pixels, masks = drawn(10, CLASSES, 6, 7), labels(CLASSES, 10, 6, 7)
    masks[:, 0] = -100
    counted = masks.flatten() != -100
    wanted = sk.jaccard_score(masks.flatten()[counted], pixels.argmax(1).flatten()[counted], average="macro")
    assert score(Metric.of("miou"), pixels, masks) == pytest.approx(wanted)


def test_perplexity_and_bits_are_torchmetrics():
    outputs, targets = drawn(9, 11, CLASSES), labels(CLASSES, 9, 11)
    targets[:, 8:] = -100
    wanted = torchmetrics.functional.text.perplexity(outputs, targets, ignore_index=-100)
    assert score(Metric.of("perplexity", Classes(-1)), outputs, targets) == pytest.approx(float(wanted), rel=1e-5)
    assert score(Metric.of("bits", Classes(-1)), outputs, targets) == pytest.approx(math.log2(float(wanted)), rel=1e-5)


def test_token_errors_are_word_errors():
    said, right = labels(4, 30, 9), labels(4, 30, 9, seed=2)
    right[:, 6:], said[:10, 4:] = -100, -100
    texts = [[" ".join(str(n) for n in row if n >= 0) for row in rows.tolist()] for rows in (said, right)]
    assert score(Metric.of("error rate"), said, right) == pytest.approx(float(word_error_rate(*texts)))
    assert edits([1, 2, 3], [2, 3, 4]) == 2


def test_ranking_is_scikit_learns():
    outputs, targets = drawn(COUNT), labels(2, COUNT)
    wanted = sk.roc_auc_score(targets, outputs)
    assert score(Metric.of("auc"), outputs, targets) == pytest.approx(wanted)
    assert score(Metric.of("auc"), torch.stack([-outputs, outputs], 1), targets) == pytest.approx(wanted)


def test_several_labels_at_once():
    outputs, targets = drawn(COUNT, 3), labels(2, COUNT, 3)
    wanted = torchmetrics.functional.classification.multilabel_accuracy(outputs, targets, 3, average="micro")
    assert score(Metric.of("multilabel accuracy"), outputs, targets) == pytest.approx(float(wanted))


def test_a_sample_is_right_where_all_of_it_is():
    outputs, targets = drawn(40, 2, 3), labels(3, 40, 2)
    wanted = (outputs.argmax(-1) == targets).all(1).double().mean()
    assert score(Metric.of("exact match", Classes(-1)), outputs, targets) == pytest.approx(float(wanted))


TAKEN = {
    "sums": (torchmetrics.classification.MulticlassF1Score(CLASSES), drawn(COUNT, CLASSES), labels(CLASSES, COUNT)),
    "confusion": (
        torchmetrics.classification.MulticlassJaccardIndex(CLASSES), drawn(COUNT, CLASSES), labels(CLASSES, COUNT),
    ),
    "error": (torchmetrics.MeanSquaredError(), drawn(COUNT), drawn(COUNT, seed=3)),
    "lists": (torchmetrics.classification.BinaryAUROC(), drawn(COUNT), labels(2, COUNT)),
    "correlation": (torchmetrics.PearsonCorrCoef(), drawn(COUNT), drawn(COUNT, seed=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_an_object_of_torchmetrics_is_taken_as_it_is(name):
    theirs, outputs, targets = TAKEN[name]
    metric = metric_of(theirs, higher_is_better=theirs.higher_is_better is not False)
    assert metric.decomposes == (name in ("sums", "confusion", "error"))
    assert score(metric, outputs, targets) == pytest.approx(float(theirs(outputs, targets)), rel=1e-5)
    parts = [(outputs[part], targets[part], part) for part in torch.split(torch.arange(COUNT), 50)]
    assert metric.score_of(parts) == pytest.approx(float(theirs(outputs, targets)), rel=1e-5)
    assert metric.settled(outputs, targets).decomposes == metric.decomposes


def test_a_direction_is_said_found_out_or_told():
    outputs, targets = drawn(COUNT, CLASSES), labels(CLASSES, COUNT)
    outputs[torch.arange(COUNT), targets] += 3
    accuracy = directed(Metric.of(lambda o, t: (o.argmax(1) == t).double()), outputs, targets)
    assert accuracy.higher_is_better
    assert "higher is better was found" in accuracy.note
    error = directed(Metric.of(lambda o, t: (o.argmax(1) != t).double()), outputs, targets)
    assert not error.higher_is_better
    noise = directed(Metric.of(lambda o, t: o[:, 0]), outputs, targets)
    assert noise.higher_is_better
    assert "was not said, and taken so; give higher_is_better" in noise.note
    said = metric_of(lambda o, t: o[:, 0], higher_is_better=False)
    assert directed(said, outputs, targets) is said


def test_what_cannot_be_trained_is_refused_before_any_work():
    x, y = drawn(40, 3), labels(2, 40)
    task = wb.Task(train=(x, y), validation=(x, y), metric=lambda o, t: (o.argmax(1) == t).double())
    assert task.loss is None
    subject = wb.Subject("net", torch.nn.Linear(3, 2), task)
    session = wb.Session(subject, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    with pytest.raises(WorkbenchError, match="loss"):
        session.apply(wb.FineTune(epochs=1))
    assert wb.FineTune().lacks(task)


def test_edits_are_refused_where_nothing_tells_the_end_of_what_is_said():
    right = torch.tensor([[4, 5, 3, -100], [4, 3, -100, -100]])
    said = torch.nn.functional.one_hot(torch.tensor([[4, 5, 3, 5], [4, 3, 3, 5]]), 7).float()
    with pytest.raises(WorkbenchError, match="targets end with -100, which the model cannot say"):
        score(Metric.of("error rate"), said, right)
    ended = right.masked_fill(right == -100, 3)
    assert score(Metric.of("error rate", Classes(ignored=3)), said, ended) == 0.0


def test_average_precision_of_any_samples_is_put_together_of_what_each_adds():
    corners = 20 * torch.rand(30, 24, 2, generator=torch.Generator().manual_seed(2))
    boxes = torch.cat([corners, corners + 6], -1)
    outputs = {"boxes": boxes + drawn(30, 24, 4), "scores": 2 * drawn(30, 24, 4, seed=3)}
    targets = {"boxes": boxes[:, :5], "labels": labels(4, 30, 5) - 1}
    metric = Metric.of("map")
    of = metric.subset_scores(outputs, targets)
    for numbers in (torch.arange(30), torch.arange(0, 30, 2), torch.tensor([7, 7, 3])):
        assert of(numbers) == pytest.approx(metric.score(take(outputs, numbers), take(targets, numbers), numbers))
    assert 0 < of(torch.arange(30)) < 1
    with pytest.raises(WorkbenchError, match="is not a number"):
        metric.subset_scores(outputs, {**targets, "labels": torch.full((30, 5), -1)})(torch.arange(3))
