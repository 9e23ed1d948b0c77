"""Where classes lie in outputs, and which labels do not count."""

import pytest
import torch
import torch.nn.functional as F

from workbench.errors import WorkbenchError
from workbench.task.classes import Classes
from workbench.task.loss import LOSSES, loss_of
from workbench.task.metric import Metric


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(classes, *shape, seed=1):
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(seed))


LAID_OUT = {
    "samples": (drawn(6, 5), labels(5, 6), 1),
    "pixels": (drawn(6, 5, 3, 4), labels(5, 6, 3, 4), 1),
    "a channel of labels": (drawn(6, 5, 3, 4), labels(5, 6, 1, 3, 4), 1),
    "tokens": (drawn(6, 7, 5), labels(5, 6, 7), 2),
    "a column of labels": (drawn(6, 5), labels(5, 6, 1), 1),
}


@pytest.mark.parametrize("name", LAID_OUT)
def test_shapes_tell_where_classes_lie(name):
    outputs, targets, dim = LAID_OUT[name]
    right = outputs.argmax(dim) == targets.reshape(outputs.argmax(dim).shape)
    metric = Metric.of("accuracy")
    values = metric.values(outputs, targets, torch.arange(6))
    assert float(metric.total(values)) == pytest.approx(float(right.double().mean()))
    wanted = F.cross_entropy(outputs.movedim(dim, 1), targets.reshape(right.shape))
    torch.testing.assert_close(loss_of("cross_entropy", Classes())(outputs, targets), wanted)


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 1, 4, 4)])
def test_one_number_stands_for_a_class_against_none(shape):
    outputs = drawn(*shape)
    for targets in (labels(2, *shape), labels(2, *shape).reshape(8, *shape[2:]), labels(2, *shape).double()):
        metric = Metric.of("accuracy")
        total = float(metric.total(metric.values(outputs, targets, torch.arange(8))))
        wanted = (outputs > 0).reshape(-1) == targets.reshape(-1).bool()
        assert total == pytest.approx(float(wanted.double().mean()))
        loss = F.binary_cross_entropy_with_logits(outputs.reshape(-1), targets.reshape(-1).float())
        torch.testing.assert_close(loss_of("cross_entropy", Classes())(outputs, targets), loss)


def test_what_does_not_count_is_left_out():
    outputs, targets = drawn(6, 5, 4, 3), labels(5, 6, 4, 3)
    targets[:, :2] = 255
    targets[0] = 255
    metric = Metric.of("accuracy", Classes(ignored=255))
    right = (outputs.argmax(1) == targets)[targets != 255]
    assert float(metric.total(metric.values(outputs, targets, torch.arange(6)))) == pytest.approx(
        float(right.double().mean())
    )
    loss = loss_of("cross_entropy", Classes(ignored=255))(outputs, targets)
    torch.testing.assert_close(loss, F.cross_entropy(outputs, targets, ignore_index=255))
    with pytest.raises(WorkbenchError, match=r"label 255 does not fit an output of 5 classes.*give ignored=255"):
        Metric.of("accuracy").judge(outputs, targets)


def test_one_hot_and_soft_labels_are_labels():
    outputs, classes = drawn(9, 4), labels(4, 9)
    hot = F.one_hot(classes, 4)
    soft = hot * 0.9 + 0.025
    for targets in (hot, hot.double(), soft):
        right = Metric.of("accuracy").judge(outputs, targets)
        assert right.tolist() == (outputs.argmax(1) == classes).double().tolist()
    torch.testing.assert_close(
        LOSSES["cross_entropy"](outputs, soft, Classes()), F.cross_entropy(outputs, soft.float())
    )
    with pytest.raises(WorkbenchError, match=r"no probabilities of classes.*metric='multilabel accuracy'"):
        Metric.of("accuracy").judge(outputs, torch.ones(9, 4))


def test_what_fits_twice_is_asked():
    outputs, targets = drawn(3, 8, 8, 8), labels(8, 3, 8, 8)
    with pytest.raises(WorkbenchError, match=r"fit both; give class_dim=1 \(images\) or class_dim=-1 \(tokens\)"):
        Metric.of("accuracy").judge(outputs, targets)
    for dim in (1, -1):
        metric = Metric.of("accuracy", Classes(dim))
        total = float(metric.total(metric.values(outputs, targets, torch.arange(3))))
        assert total == pytest.approx(float((outputs.argmax(dim) == targets).double().mean()))
    # What two samples told holds for batches in which it could be told otherwise.
    assert Classes().settled(drawn(2, 6, 5), labels(5, 2, 6)) == Classes(-1)


def test_shapes_that_do_not_fit_are_said():
    with pytest.raises(WorkbenchError, match=r"targets of shape \(3, 2\) do not fit outputs of shape \(3, 5, 4\)"):
        Classes().aligned(drawn(3, 5, 4), labels(4, 3, 2))
    with pytest.raises(WorkbenchError, match="no class numbers, but fractions"):
        Classes().aligned(drawn(3, 5), torch.rand(3))
    with pytest.raises(WorkbenchError, match="from one tensor of outputs and one of targets, not dict and Tensor"):
        Classes().aligned({}, torch.rand(3))
