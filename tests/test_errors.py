"""Bad inputs, each with one clear error that says what was given and what can be done."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import workbench as wb
from workbench.errors import Cancelled, WorkbenchError, first_line
from workbench.measure.runtimes import onnx
from workbench.steps import State
from workbench.task.samples import ArraySamples

IMAGES, LABELS = np.zeros((6, 1, 4, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])


def net(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(1), 0


NAN = IMAGES.copy()
NAN[2, 0, 1, 1] = np.nan
TASKS = {
    "no validation": ({"train": (IMAGES, LABELS)}, "a task needs validation data"),
    "empty": ({"validation": (IMAGES[:0], LABELS[:0])}, "validation data: the data is empty"),
    "empty dataset": ({"validation": TensorDataset(torch.zeros(0, 3), torch.zeros(0))}, "the data is empty"),
    "different numbers": ({"validation": (IMAGES, LABELS[:3])}, r"differ in number: \[3, 6\]"),
    "NaN inputs": ({"validation": (NAN, LABELS)}, r"sample \d+ holds NaN or infinite values"),
    "negative label": ({"validation": (IMAGES, LABELS - 1)}, "must not be negative; the smallest is -1"),
    "label without name": ({"validation": (IMAGES, LABELS), "classes": ["a", "b"]}, "label 2 has no name: there are 2"),
    "iterable": ({"validation": Endless()}, "an iterable dataset has no order"),
    "loader of iterable": ({"validation": DataLoader(Endless())}, "an iterable dataset has no order"),
    "a number": ({"validation": 5}, "data of type int is not understood"),
    "bad train": ({"validation": (IMAGES, LABELS), "train": 5}, "train data: data of type int"),
    "metric": ({"validation": (IMAGES, LABELS), "metric": "f7"}, "metric 'f7' is not known; known are accuracy"),
    "loss": ({"validation": (IMAGES, LABELS), "loss": "hinge"}, "loss 'hinge' is not known; known are cross_entropy"),
    "mean alone": ({"validation": (IMAGES, LABELS), "mean": [0.5]}, "needs both mean and std"),
}


@pytest.mark.parametrize("name", TASKS)
def test_data_that_cannot_be_used_is_refused(name):
    arguments, said = TASKS[name]
    with pytest.raises(WorkbenchError, match=said):
        wb.Task(**arguments)


def test_a_sample_of_a_dataset_that_is_no_number_is_named():
    images = torch.zeros(400, 1, 4, 4)
    images[300, 0, 2, 2] = float("inf")
    subject = wb.Subject("net", net(), wb.Task(validation=TensorDataset(images, torch.arange(400) % 3)))
    with pytest.raises(WorkbenchError, match="sample 300 holds NaN or infinite values"):
        wb.Session(subject, threaded=False, autosave=None).measure()
    with pytest.raises(WorkbenchError, match="complex numbers; give their real and imaginary parts"):
        wb.Task(validation=(torch.zeros(4, 3, dtype=torch.complex64), torch.zeros(4)))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory")],
)
def test_memory_that_runs_out_while_scoring_is_one_line(session, monkeypatch, error):
    session.measure()

    batch = ArraySamples.batch

    def exhausted(self, indices):
        if len(indices) > 2:
            raise error
        return batch(self, indices)

    monkeypatch.setattr(ArraySamples, "batch", exhausted)
    session._baseline.evaluator().close()
    with pytest.raises(WorkbenchError, match=r"memory ran out while .*; let less be kept") as caught:
        session.apply(wb.Prune())
    assert len(str(caught.value).splitlines()) == 1
    assert session.history.at == 0


def test_data_from_a_function_is_checked_when_it_is_read():
    task = wb.Task(validation=lambda: (IMAGES, LABELS - 1))
    with pytest.raises(WorkbenchError, match="validation data: labels must not be negative"):
        task.split("validation")
    with pytest.raises(WorkbenchError, match=r"no train data \(it has validation\); give train="):
        task.split("train")


def poisoned(value):
    model = net()
    with torch.no_grad():
        model[1].weight[1, 3] = value
    return model


class Quiet(nn.Linear):
    def forward(self, x):
        raise RuntimeError


class NoTensor(nn.Linear):
    def forward(self, x):
        return ["text"]


class Rotated(nn.Linear):
    """A layer with a table of complex numbers."""

    def __init__(self):
        super().__init__(16, 3)
        self.register_buffer("table", torch.ones(3, dtype=torch.complex64))

    def forward(self, x):
        return super().forward(x.flatten(1)) * self.table.real


SUBJECTS = {
    "complex": (Rotated(), "table holds complex numbers, which no file format here stores"),
    "NaN": (poisoned(float("nan")), "1.weight holds NaN or infinite values"),
    "infinite": (poisoned(float("-inf")), "1.weight holds NaN or infinite values"),
    "no parameters": (nn.Flatten(), "has no parameters, so there is nothing to compress"),
    "another input": (nn.Linear(7, 3), r"fails on the task's inputs of shape \(2, 1, 4, 4\): mat1 and mat2"),
    "two inputs": (nn.Bilinear(4, 4, 3), r"fails on the task's inputs of shape"),
    "too few classes": (net(2), "label 2 does not fit an output of 2 classes"),
    "an error without words": (Quiet(4, 3), r"fails on the task's inputs .*: RuntimeError"),
    "no tensor": (NoTensor(4, 3), "output of type list holds no tensor to judge"),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_model_that_cannot_be_judged_is_refused(name):
    model, said = SUBJECTS[name]
    with pytest.raises(WorkbenchError, match=said):
        wb.Subject("mine", model, wb.Task(validation=(IMAGES, LABELS)))


def test_a_metric_that_fails_is_told_and_one_that_gives_a_scalar_is_taken():
    def broken(outputs, targets):
        raise ValueError("needs probabilities")

    with pytest.raises(WorkbenchError, match="the metric broken fails on the model's output: needs probabilities"):
        wb.Subject("mine", net(), wb.Task(validation=(IMAGES, LABELS), metric=broken))
    subject = wb.Subject("mine", net(), wb.Task(validation=(IMAGES, LABELS), metric=lambda o, t: o.sum()))
    assert not subject.task.metric.decomposes


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 3)

    def forward(self, x):
        x = self.linear(x.flatten(1))
        return x * 2 if float(x.detach().sum()) > 1e9 else x


def test_a_model_that_cannot_be_traced_keeps_what_works(open_session):
    task = wb.Task(validation=(np.random.default_rng(0).random((60, 1, 4, 4), np.float32), np.arange(60) % 3))
    session = open_session(wb.Subject("branching", Branching(), task))
    assert session.apply(wb.Prune(amount=0.5)).latency.keys() == {"eager"}
    assert "cannot be converted to ONNX" in " ".join(session.current.unavailable.values()) + session.error
    assert session.sensitivity(wb.Quantize(), (4,)).done
    with pytest.raises(WorkbenchError, match=r"cannot be traced .*; steps that change weights alone still work"):
        session.apply(wb.PruneChannels())
    with pytest.raises(WorkbenchError, match="cannot be converted to ONNX"):
        onnx.prepare(State(session.subject.model), task.example(2))


def test_layers_that_do_not_match_are_answered_with_near_ones(images):
    with pytest.raises(WorkbenchError, match=r"no layer matches 'conv11'; there are conv1"):
        wb.Prune(layers="conv11").chosen(wb.Session(images, autosave=None).layers)
    with pytest.raises(WorkbenchError, match=r"every layer that matches fc is excluded by f\*"):
        wb.Prune(layers="fc", exclude="f*").chosen(wb.Session(images, autosave=None).layers)


def test_an_error_keeps_its_kind_and_gains_its_place():
    assert str(WorkbenchError("bad").within("step 1").within("recipe")) == "recipe: step 1: bad"
    assert type(Cancelled("stop").within("here")) is Cancelled


def test_the_first_line_of_an_error_is_never_empty():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError("\n  one")) == "one"
    assert first_line(EOFError()) == "EOFError"
