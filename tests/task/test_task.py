"""Tasks: labels and losses mean what they say, whatever shape they come in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import workbench as wb
from tests.nets import TiedLinears
from workbench.errors import WorkbenchError
from workbench.loading.load import load_model
from workbench.task.samples import Samples


def test_a_column_of_labels_is_labels():
    x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
    model = nn.Linear(4, 3)
    flat, column = (
        wb.Session(wb.Subject("m", model, wb.Task(validation=(x, labels))), threaded=False, autosave=None).reference()
        for labels in (y, y[:, None])
    )
    assert column.results.shape == (20,)
    assert torch.equal(flat.results, column.results)


def test_a_metric_of_the_wrong_shape_is_refused():
    x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
    task = wb.Task(validation=(x, y), metric=lambda outputs, targets: outputs)
    with pytest.raises(wb.WorkbenchError, match="one number for each"):
        wb.Subject("m", nn.Linear(4, 3), task)


def test_a_regression_learns_from_flat_targets():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 4, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0])
    torch.manual_seed(0)
    subject = wb.Subject("m", nn.Linear(4, 1), wb.Task(train=(x, y), validation=(x, y), metric="mse"))
    session = wb.Session(subject, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    found = session.apply(wb.FineTune(epochs=40, learning_rate=0.3))
    assert found.score.value < 0.05 < session.baseline.score.value


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), (0.2,)), ((0.5,) * 3, (0.2, 0.0, 0.2)), ((0.5,) * 3, (0.2, -0.2, 0.2))]
)
def test_a_scale_that_does_not_fit_is_refused(mean, std):
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(wb.WorkbenchError, match="std"):
        wb.Task(validation=(images, torch.zeros(4).long()), mean=mean, std=std)


def test_dropout_is_by_the_recipe_and_not_by_the_world():
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3))
    subject = wb.Subject("m", model, wb.Task(train=(x, y), validation=(x, y)))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        session = wb.Session(subject, wb.Settings(seconds=0.0), threaded=False, autosave=None)
        session.apply(wb.FineTune(epochs=3, learning_rate=0.01))
        found.append(session.state.model.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_tied_weights_are_exported_once_and_come_back_tied(tmp_path):
    x, y = torch.randn(64, 8), torch.randint(0, 8, (64,))
    subject = wb.Subject("tied", TiedLinears(), wb.Task(train=(x, y), validation=(x, y)))
    session = wb.Session(subject, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    session.apply(wb.Quantize(bits=8))
    folder = session.export(tmp_path / "out", formats=("safetensors",))
    assert (folder / "model.safetensors").stat().st_size == session.current.bytes.total
    again = load_model(folder)
    assert torch.allclose(again(x), session.state.model(x), atol=1e-6)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    x, y = torch.randn(64, 8), torch.randint(0, 8, (64,))
    subject = wb.Subject("tied", TiedLinears(), wb.Task(validation=(x, y)))
    session = wb.Session(subject, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    folder = session.export(tmp_path / "out", formats=("safetensors",))
    session.export(folder, formats=("safetensors",))
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(wb.WorkbenchError, match="in use by something else"):
        session.export(folder, formats=("safetensors",))
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_any_top_k_is_a_metric_by_name():
    outputs = torch.tensor([[3.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    metric = wb.Metric.of("top3")
    assert metric.name == "top-3 accuracy"
    assert metric.judge(outputs, torch.tensor([2, 3])).tolist() == [1.0, 0.0]
    with pytest.raises(wb.WorkbenchError, match=r"'top0' is not known; known are accuracy, .*, top5 and the like"):
        wb.Metric.of("top0")


def test_a_metric_of_the_whole_says_so(vectors, open_session):
    def worst(outputs, targets):
        return (outputs.argmax(1) == targets).double().mean().sqrt()

    subject = wb.Subject("whole", vectors.model, wb.Task(metric=worst, validation=vectors.task.split("validation")))
    session = open_session(subject)
    found = session.apply(wb.Prune(amount=0.5))
    *_, note = found.notes
    assert note.startswith("worst is one value for the whole split: all samples are scored at once; whether higher is")
    assert found.score.exact
    session.preview(wb.Prune(amount=0.6))
    assert session.staged.notes == found.notes


def test_several_inputs_come_side_by_side_or_as_one_tuple():
    pairs = [(torch.full((2,), float(n)), torch.full((3,), float(n)), n) for n in range(4)]
    flat, nested = Samples(pairs).batch([1, 3]), Samples([((a, b), n) for a, b, n in pairs]).batch([1, 3])
    for one, other in zip((*flat[0], flat[1]), (*nested[0], nested[1]), strict=True):
        assert torch.equal(one, other)
    assert [len(value) for value in flat[0]] == [2, 2]


@pytest.mark.parametrize(
    "sample",
    [torch.zeros(3), ("cat", 1), ({"x": "cat"}, 1)],
    ids=["alone", "word", "dictionary of words"],
)
def test_samples_of_another_form_are_refused(sample):
    with pytest.raises(WorkbenchError, match=r"a sample must be \(input, target\)"):
        Samples([sample, sample]).batch([0, 1])
