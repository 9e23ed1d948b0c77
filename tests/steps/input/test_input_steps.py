"""What a model is fed: whoever calls it sees the same, and the uncompressed model still gets its own inputs."""

import json

import onnx
import pytest
import torch
from torch import nn

from tests import nets
from workbench.errors import WorkbenchError
from workbench.graph.program import from_text, to_text
from workbench.inspection import attribute_input, likeness
from workbench.loading.load import load
from workbench.measure import Measurement
from workbench.measure.compute import count_macs
from workbench.model.subject import Subject
from workbench.steps import (
    ByteInput,
    Distill,
    FineTune,
    GreyInput,
    Prune,
    PruneChannels,
    Quantize,
    ReduceInputBits,
    ResizeInput,
    Smooth,
    State,
)  # fmt: skip
from workbench.steps.input.byte_input import AsBytes, as_bytes, of_bytes
from workbench.steps.input.grey_input import LUMA, grey, of_one_channel
from workbench.steps.input.reduce_input_bits import OnGrid, on_grid
from workbench.steps.input.resize_input import Resized, resized
from workbench.steps.recipe import Recipe, run
from workbench.task.batch import Inputs, entering, outputs_of
from workbench.task.classes import Classes
from workbench.task.feeding import input_bytes, read_feeds
from workbench.task.task import Task

STEPS = (GreyInput(), ResizeInput(), ReduceInputBits(bits=4), ByteInput())


@pytest.fixture(scope="module")
def colours():
    """A small convolutional net on colour images of 8 × 8 bytes, whose labels are its own answers."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (160, 3, 8, 8), generator=generator, dtype=torch.uint8)
    task = Task(validation=(images, torch.zeros(160, dtype=torch.int64)), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    model, _ = nets.build("plain")
    with torch.no_grad():
        labels = model(*task.example(160)).argmax(1)
    split = (images, labels)
    return Subject("colours", model, Task(train=split, validation=split, mean=task.mean, std=task.std))


def outputs(subject, model, count=32):
    with torch.no_grad():
        return outputs_of(model.eval(), subject.task.example(count))


def test_sizes_are_means_of_what_a_pixel_covers():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(resized(image, 2, 2, "area"), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    whole = resized(image.to(torch.uint8), 2, 2, "bilinear")
    assert whole.dtype == torch.uint8
    assert whole.shape == (1, 1, 2, 2)


def test_grey_is_the_weighed_sum_and_its_layer_computes_the_same_as_with_equal_channels():
    images = torch.randn(2, 3, 6, 6)
    single = grey(images, LUMA)
    torch.testing.assert_close(single[:, 0], 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2])
    for convolution in (nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, stride=2, bias=False)):
        with torch.no_grad():
            wanted = convolution(single.expand(-1, 3, -1, -1))
            torch.testing.assert_close(of_one_channel(convolution)(single), wanted)


def test_a_grid_has_its_levels_and_its_ends():
    values = torch.linspace(-1.2, 1.2, 97).view(1, 1, 1, 97)
    coarse = on_grid(values, 2, (-1.0,), (1.0,))
    torch.testing.assert_close(coarse.unique(), torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0]))
    inside = values.abs() <= 1
    assert float((coarse - values)[inside].abs().max()) <= 1 / 3 + 1e-6


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(3, 4, 4, stride=4, bias=False),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    ],
    ids=["padded", "patches", "same", "reflected"],
)
def test_a_layer_of_bytes_gives_what_the_layer_gave(layer):
    levels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    low, high = (-2.0, -1.5, -1.0), (2.0, 2.5, 3.5)
    first, last = (torch.tensor(ends).view(1, 3, 1, 1) for ends in (low, high))
    images = levels / 255 * (last - first) + first
    assert torch.equal(as_bytes(images, low, high), levels)
    folded = of_bytes(layer, low, high)
    with torch.no_grad():
        torch.testing.assert_close(folded(levels), layer(images), rtol=1e-4, atol=1e-4)
    padded_with_zeros = layer.padding in ((1, 1), "same") and layer.padding_mode == "zeros"
    assert bool(folded[0].zero.any()) == padded_with_zeros


def test_the_uncompressed_model_keeps_its_inputs_and_the_state_gets_others(colours):
    state = run(colours, Recipe(STEPS))
    example = colours.task.example(4)
    assert entering(colours.model, example) is example
    (fed,) = entering(state.model, example)
    assert (fed.shape, fed.dtype) == ((4, 1, 4, 4), torch.uint8)
    assert entering(state.model, entering(state.model, example))[0] is not None
    assert entering(state.model, (fed,))[0] is fed  # plain tensors are what the model gets
    assert len(fed.unique()) <= 16
    # Of grey pixels black is 0 and white 255, whatever the colours were normalised by.
    black, white = (State.of(colours).feeds, state.feeds[-1])
    assert black == ()
    assert white.low == (pytest.approx(-(0.299 * 2 + 0.587 * 2 + 0.114 * 2)),)
    assert input_bytes(colours.model, example) == 3 * 64 * 4
    assert [input_bytes(run(colours, Recipe((step,))).model, example) for step in STEPS] == [256, 192, 96, 192]
    assert input_bytes(state.model, example) == 16 * 4 // 8
    off_the_grid = run(colours, Recipe((ReduceInputBits(bits=4), ResizeInput())))
    assert input_bytes(off_the_grid.model, example) == 3 * 16 * 4


def test_bytes_of_images_that_were_bytes_change_nothing(colours):
    state = run(colours, Recipe((ByteInput(),)))
    torch.testing.assert_close(outputs(colours, state.model), outputs(colours, colours.model), rtol=1e-4, atol=1e-5)
    assert state.notes == ("conv1: takes bytes",)
    assert state.origin("conv1.1") == "conv1"


def test_values_that_were_no_bytes_are_rounded_and_that_is_said(transformer):
    state = run(transformer, Recipe((ByteInput(),)))
    assert any("rounded by up to 0.20" in note for note in state.notes)
    torch.testing.assert_close(
        outputs(transformer, state.model), outputs(transformer, transformer.model), atol=0.03, rtol=0
    )


def test_what_is_fed_stays_through_every_kind_of_step_export_and_reload(colours, open_session, tmp_path):
    quick = {"epochs": 1, "batch_size": 64}
    rest = (PruneChannels(amount=0.3, layers="conv1*"), FineTune(**quick), Prune(amount=0.2), Quantize(bits=8))
    session = open_session(colours)
    found = session.apply(Recipe((*STEPS, *rest)))
    assert len(session.state.feeds) == len(STEPS)
    assert found.unavailable == {}
    assert Measurement.read(json.loads(json.dumps(found.facts()))) == found
    assert 4 * found.macs < count_macs(colours.model, colours.task.example(2))
    folder = session.export(tmp_path / "out", ("safetensors", "onnx"))
    assert (session.measurements[0].input_bytes, found.input_bytes) == (768, 8)
    facts = json.loads((folder / "measurement.json").read_text())
    assert facts["task"]["inputs"] == [{"shape": [1, 4, 4], "type": "uint8"}]
    (entry,) = onnx.load(folder / "model.onnx").graph.input
    assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert "grey: the sum of channels times 0.299, 0.587, 0.114" in (folder / "README.md").read_text()
    again = load(folder, task=colours.task)
    after = outputs(colours, session.state.model)
    torch.testing.assert_close(outputs(colours, again.model), after, rtol=1e-4, atol=1e-5)
    other = open_session(again, autosave=tmp_path / "other")
    measured = other.measure()
    assert (measured.score.value, measured.input_bytes) == (found.score.value, 8)
    assert measured.unavailable == {}


@pytest.mark.parametrize(
    ("recipe", "least"),
    [
        ((ByteInput(),), 0.95),
        ((ReduceInputBits(bits=5),), 0.95),
        ((GreyInput(), ResizeInput(scale=0.5), ByteInput()), 0.0),
    ],
)
def test_what_a_rounded_input_has_to_do_with_the_answer_is_told(colours, recipe, least):
    inputs, targets = colours.task.split("validation").batch(range(4))
    state = run(colours, Recipe(recipe))
    before, after = (attribute_input(model, inputs, targets, Classes()) for model in (colours.model, state.model))
    assert after.shape == before.shape
    assert float(after.abs().sum()) > 0
    assert likeness(before, after) > least


def test_a_teacher_gets_the_inputs_that_it_was_made_for(colours):
    state = run(colours, Recipe((GreyInput(), Distill(epochs=1, soft=1.0, batch_size=64))))
    assert len(state.feeds) == 1  # on one channel the teacher, which reads three, would fail


def test_states_of_other_inputs_have_other_digests_and_other_structures(colours):
    plain, coarse, coarser = (run(colours, Recipe(steps)) for steps in
                              ((), (ReduceInputBits(bits=5),), (ReduceInputBits(bits=3),)))  # fmt: skip
    assert len({plain.digest(), coarse.digest(), coarser.digest()}) == 3
    assert plain.digest() == State.of(colours).digest()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ((ByteInput(), GreyInput()), "not read by one convolution alone"),
        ((ByteInput(), ReduceInputBits()), "put reduce_input_bits before byte_input"),
        ((ByteInput(), ByteInput()), "the images are bytes already"),
        ((GreyInput(), GreyInput()), "one channel already"),
        ((ResizeInput(scale=0.1),), "the model does not run on 1 × 1 pixels"),
    ],
)
def test_what_does_not_fit_is_said(colours, recipe, words):
    with pytest.raises(WorkbenchError, match=words):
        run(colours, Recipe(recipe))


def test_other_tasks_than_images_are_refused():
    words, labels = nets.tokens()[0].repeat(4, 1), torch.zeros(8, dtype=torch.int64)
    net = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(56, 4))
    text = Subject("text", net, Task(train=(words, labels), validation=(words, labels)))
    for step in STEPS:
        with pytest.raises(WorkbenchError, match=rf"{step.title}: it is for one image .* not for int64 \(7,\)"):
            run(text, Recipe((step,)))


def test_a_grid_without_a_range_is_refused_before_any_work(colours):
    lone = Subject("lone", colours.model, Task(validation=tuple(colours.task.split("validation").batch(range(8)))))
    for step in (ReduceInputBits(), ByteInput()):
        with pytest.raises(WorkbenchError, match=r"mean and std of wb\.Task, or train or calibration data"):
            run(lone, Recipe((step,)))


@pytest.mark.parametrize(
    "rows",
    [
        {}, [3], [{"kind": "eval"}], [{"kind": ["resized"]}], [{"kind": "resized", "height": 4}],
        [{"kind": "resized", "height": 10**9, "width": 4, "method": "area"}],
        [{"kind": "resized", "height": True, "width": 4, "method": "area"}],
        [{"kind": "resized", "height": 4, "width": 4, "method": "exec"}],
        [{"kind": "greyed", "weights": "luma"}], [{"kind": "greyed", "weights": [float("inf")]}],
        [{"kind": "on_grid", "levels_bits": 64, "low": [0.0], "high": [1.0]}],
        [{"kind": "as_bytes", "low": [0.0], "high": [0.0]}],
        [{"kind": "as_bytes", "low": [0.0], "high": [1.0]}] * 100,
    ],
    ids=str,
)  # fmt: skip
def test_what_a_file_says_of_inputs_is_looked_at(rows):
    with pytest.raises(WorkbenchError, match="what is done to inputs"):
        read_feeds(rows)


def test_feeds_come_back_from_the_text_of_a_graph(colours):
    feeds = (Resized(4, 4, "area"), OnGrid(3, (0.0,), (1.0,)), AsBytes((0.0,), (1.0,)))
    assert read_feeds(json.loads(json.dumps([feed.facts() for feed in feeds]))) == feeds
    state = run(colours, Recipe((ResizeInput(),)))
    text = to_text(state.model, colours.task.example(2))
    model = from_text(text, {name: value.detach() for name, value in state.model.state_dict().items()})
    assert State(model).feeds == state.feeds


def test_floats_that_nobody_normalised_have_the_range_of_the_data():
    torch.manual_seed(0)
    images, labels = torch.rand(40, 3, 8, 8) * 255, torch.randint(0, 3, (40,))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    model(images[:2])
    task = Task(train=(images, labels), validation=(images, labels), mean=(0.5,) * 3, std=(0.25,) * 3)
    state = run(Subject("net", model, task), Recipe((ReduceInputBits(bits=8),)))
    (fed,) = entering(state.model, Inputs.of((images,)))
    assert 0.0 < float((fed - images).abs().max()) < 0.6
    short = Task(train=(images, labels), validation=(images, labels), mean=(0.5, 0.4), std=(0.25, 0.3))
    with pytest.raises(WorkbenchError, match="2 values of mean and 2 of std for images of 3 channels"):
        run(Subject("net", model, short), Recipe((ByteInput(),)))


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8)
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.last(self.first(self.norm(x)).relu().mean(1))


def test_smoothing_looks_at_what_the_model_is_fed():
    torch.manual_seed(0)
    images, labels = torch.rand(40, 3, 8, 8), torch.randint(0, 3, (40,))
    subject = Subject("net", Patches().eval(), Task(train=(images, labels), validation=(images, labels)))
    state = run(subject, Recipe((GreyInput(), Smooth())))
    before = run(subject, Recipe((GreyInput(),)))
    with torch.no_grad():
        ours, theirs = (outputs_of(each.model, Inputs.of((images,))) for each in (state, before))
    assert torch.allclose(ours, theirs, atol=1e-5)
