"""All that computes, on a device that is not there (`pretend`): it fails where tensors of two devices meet.

What torch computes there is what it computes on the CPU but for the order in which some kernels add.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch

from tests.devices.pretend import DEVICE, Elsewhere, pretended
from tests.sampling import sampled, whole
from tests.steps.test_contract import REFUSED, SUBJECTS, recipe_to, subject_of
from workbench.errors import WorkbenchError
from workbench.graph import trace
from workbench.graph.remake import as_module
from workbench.inspection import (
    attribute_input,
    channel_spread,
    channels_of,
    cosine_similarity,
    grid_values,
    histogram,
    observe_activations,
    picture,
    singular_spectrum,
    words,
)
from workbench.inspection.kernels import kernel_picture
from workbench.jobs.progress import Progress
from workbench.loading.load import load
from workbench.measure.evaluator import Evaluator
from workbench.model.subject import Subject
from workbench.model.twin import model_on
from workbench.search.trials.parcel import pack, unpack
from workbench.search.trials.trial import Tolerance, advance
from workbench.session import baseline
from workbench.session.session import Settings
from workbench.steps import KINDS, Context
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA, shapley
from workbench.steps.prune.importance.cache import rank_units, rank_weights
from workbench.steps.prune.prune import Prune
from workbench.steps.prune.prune_channels import PruneChannels
from workbench.steps.quantize.quantize import Quantize
from workbench.steps.quantize.rounding import ROUNDINGS
from workbench.steps.quantize.rounding.learned import learned
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.fine_tune import FineTune
from workbench.task.task import Task

THERE = Settings(seconds=0.0, device="lazy")


@pytest.fixture
def there():
    """The device, for the length of a test."""
    with pretended() as device:
        yield device


@pytest.fixture(scope="module")
def few(images, vectors, transformer):
    """The shared subjects by name, on few of their samples."""
    counts = {"train": 32, "validation": 24, "test": 8}

    def some(subject: Subject) -> Subject:
        data = {split: subject.task.split(split).batch(range(count)) for split, count in counts.items()}
        task = Task(**{split: (inputs[0], targets) for split, (inputs, targets) in data.items()}, name="few")
        return Subject(subject.name, subject.model, task)

    return dict(zip(SUBJECTS, map(some, (images, vectors, transformer)), strict=True))


def tensors_of(state):
    return state.model.state_dict(keep_vars=True)


def same_values(there, here):
    """Check that a state is all on the device, and holds what another one holds on the CPU."""
    mine, yours = tensors_of(there), tensors_of(here)
    assert [name for name, value in mine.items() if not isinstance(value, Elsewhere)] == []
    assert mine.keys() == yours.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value.detach().cpu(), yours[name].detach(), rtol=1e-3, atol=1e-4)
    assert there.codings.keys() == here.codings.keys()


def test_what_torch_refuses_between_two_devices_is_refused(there):
    value = torch.arange(6.0).reshape(2, 3).to(there)
    assert value.device == DEVICE
    for wrong in (
        lambda: value + torch.ones(3),
        lambda: torch.cat([value, torch.ones(1, 3)]),
        lambda: value.numpy(),
        lambda: torch.ones(2)[value.long()[0]],
        lambda: torch.rand(3, device=there, generator=torch.Generator()),
        lambda: torch.rand(3, generator=torch.Generator(there)),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"device|CPU|generator"):
            wrong()
    # What it allows: numbers without dimensions, indices on the CPU, copies.
    assert (value + torch.tensor(1.0))[torch.tensor([1])].cpu().tolist() == [[4.0, 5.0, 6.0]]
    assert torch.tensor([1.0], device=there).device == torch.zeros_like(value).device == DEVICE
    assert value.cpu().numpy().sum() == 15
    other = value.to("cpu")
    other[0, 0] = 9.0
    assert value.tolist()[0][0] == 0.0


def test_a_moved_model_keeps_its_ties_and_the_devices_in_its_graph(there):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight

    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x) + torch.arange(3, device=x.device)

    moved = model_on(model, there)
    assert moved[0].weight is moved[1].weight
    assert (moved[0].weight.device, model[0].weight.device.type) == (DEVICE, "cpu")
    x = torch.ones(2, 3)
    graph = as_module(trace(Counting(), (x,)), Counting())
    torch.testing.assert_close(model_on(graph, there)(x.to(there)).cpu(), graph(x))
    assert model_on(model, torch.device("cpu")) is model


def recipe_of(kind):
    """Return a step with its fields moved, behind what it needs; rules of rounding have a test of their own below."""
    steps = (replace(one, rounding="nearest") if hasattr(one, "rounding") else one for one in recipe_to(kind, "moved"))
    return Recipe(tuple(steps), seed=3)


def quickest(kind):
    """Return the smallest subject that a step does not refuse."""
    return next(name for name in ("vectors", *SUBJECTS) if (kind, name) not in REFUSED)


@pytest.mark.parametrize("kind", sampled(KINDS, 2 * len(KINDS) // 3))
def test_every_step_runs_there(kind, few, there):
    state = run(few[quickest(kind)].on(there), recipe_of(kind))
    assert [name for name, value in tensors_of(state).items() if not isinstance(value, Elsewhere)] == []


@whole
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_does_there_what_it_does_here(kind, few, there):
    subject = few[subject_of(kind, "moved")]
    same_values(run(subject.on(there), recipe_of(kind)), run(subject, recipe_of(kind)))


def ranked(kind, subject):
    """Return a criterion's scores of the units of a group, and of a weight."""
    criterion, context = CRITERIA[kind], Context(subject, 5)
    groups = [group for group in context.groups(subject.model) if not group.protected][:1]
    scores = dict(rank_units(criterion, subject.model, groups, context))
    assert all(not isinstance(value, Elsewhere) for value in scores.values())
    if kind in WEIGHT_CRITERIA:
        name = next(name for name, value in subject.model.named_parameters() if value.ndim > 1)
        scores["weights"] = rank_weights(WEIGHT_CRITERIA[kind], subject.model, [name], context)[name]
        assert scores["weights"].device == subject.device
    return scores


@pytest.mark.parametrize("kind", sampled(CRITERIA, len(CRITERIA) // 2))
def test_every_criterion_gives_there_what_it_gives_here(kind, few, there, monkeypatch):
    monkeypatch.setattr(shapley, "PERMUTATIONS", 1)
    # Channels of images where nothing is played or followed through; what takes long is tried on vectors.
    subject = few["images" if kind in ("magnitude", "wanda", "obs", "apoz", "geometric_median") else "vectors"]
    mine, yours = ranked(kind, subject.on(there)), ranked(kind, subject)
    assert mine.keys() == yours.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value.cpu(), yours[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_gives_there_what_it_gives_here(rounding, few, there, monkeypatch):
    monkeypatch.setattr(learned, "__defaults__", (20,))  # steps of Adam
    recipe = Recipe((Quantize(layers="hidden", bits=3, rounding=rounding, group=6),))
    same_values(run(few["images"].on(there), recipe), run(few["images"], recipe))


def test_a_session_there_measures_and_exports_what_opens_here(few, there, open_session, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "Evaluator", functools.partial(Evaluator, least=0.0))
    session = open_session(few["vectors"], replace(THERE, runtimes=("eager",)))
    assert session.device == DEVICE
    session.apply(Quantize(bits=4))
    session.preview(Prune(amount=0.5))
    assert session.staged.done
    assert session.staged.error == ""
    assert all(point.score for point in session.sensitivity(Prune(), amounts=(0.5,)).points)
    assert session._evaluator("validation").prefixes.bytes > 0
    folder = session.export(tmp_path / "out", ("safetensors",))
    again = load(folder, task=few["vectors"].task)
    inputs = again.task.example(16)
    here = session.state.on(torch.device("cpu")).model.eval()
    with torch.no_grad():
        torch.testing.assert_close(again.model(*inputs), here(*inputs), rtol=1e-5, atol=1e-5)


@whole
def test_a_session_there_with_every_runtime_file_and_report(few, there, open_session, tmp_path):
    session = open_session(few["images"], THERE)
    session.apply(Quantize(bits=8, activations=8))
    measured = session.current
    assert measured.unavailable == {}
    assert {name: one.device for name, one in measured.latency.items()} == {"eager": "lazy:0", "onnxruntime": "cpu"}
    assert session.impact().metric == "top-1 accuracy"
    assert len(session.contest(criteria=("taylor",), amounts=(0.5,)).order) == 1
    session.export(tmp_path / "out")
    assert "lazy:0" in session.report(tmp_path / "report.md").read_text()


@whole
def test_measured_there_scores_are_those_of_here(few, there, open_session):
    step = PruneChannels(amount=0.5)
    settings = (replace(THERE, runtimes=("eager",)), Settings(seconds=0.0, runtimes=("eager",)))
    scores = [open_session(few["images"], one).apply(step).score for one in settings]
    assert scores[0] == scores[1]


def test_a_session_goes_on_elsewhere_without_numbers_of_another_device(few, there, open_session):
    eager = replace(THERE, runtimes=("eager",))
    first = open_session(few["vectors"], eager)
    first.apply(Prune(amount=0.5))
    second = open_session(few["vectors"], replace(eager, device="cpu"))
    second.restore()
    assert second.recipe == first.recipe
    assert second.measurements == {}
    with pytest.raises(WorkbenchError, match="computes on cpu; open another one for lazy"):
        second.settings = eager
    third = open_session(few["vectors"], eager)
    third.restore(first._autosave.path)
    assert third.measurements == first.measurements


def test_training_goes_on_there_after_it_was_cut_short(few, there, tmp_path):
    subject = few["vectors"].on(there)
    start = run(subject, Recipe((Prune(amount=0.9),)))
    recipe = Recipe((FineTune(epochs=3, batch_size=8, learning_rate=0.02),))
    whole = run(subject, recipe, start=(0, start))

    step, context = recipe.steps[0], Context(subject, recipe.seed, folder=tmp_path)
    ticks = step.train(start, context)
    assert any(getattr(tick, "message", "").startswith("epoch 2") for tick in ticks)
    ticks.close()
    assert len(list(tmp_path.glob("*.pt"))) == 1
    saved = torch.load(next(tmp_path.glob("*.pt")), weights_only=True)
    assert {value.device.type for value in saved["now"]["model"].values()} == {"cpu"}
    again = list(step.train(start, context))
    assert "going on after epoch 1" in again[0].message
    states = [one for one in again if isinstance(one, type(whole))]
    same_values(states[-1], whole.on(torch.device("cpu")))


def test_what_workers_get_goes_by_way_of_the_cpu(few, there, open_session):
    session = open_session(few["images"], replace(THERE, runtimes=("eager",)))
    session.apply(Quantize(layers="fc", bits=4))
    begun = session._trial_context(Progress(), 0)
    for context in (session._trial_context(Progress()), begun):
        again = unpack(pack(context, 1, train=True))
        assert again.state.model.fc.weight.device == again.context.subject.device == DEVICE
        inputs, targets = again.reference.samples.batch([3])
        assert inputs[0].device == targets.device == DEVICE
        assert advance(again, (Prune(),), None, Tolerance()) == advance(context, (Prune(),), None, Tolerance())
    assert again.state.model is again.context.subject.model


def test_what_is_looked_at_is_brought_here(few, there):
    subject = few["images"].on(there)
    state = run(subject, Recipe((Quantize(layers="conv2", bits=4),)))
    weight, context = state.parameter("conv2.weight"), Context(subject)
    inputs, targets = subject.task.split("validation").batch([0, 1])
    looked = [
        histogram(weight), channel_spread(weight), singular_spectrum(weight),
        grid_values(state.codings["conv2.weight"]),
        observe_activations(subject.model, subject.task, ["conv1"]), kernel_picture(weight), words(inputs[0][0]),
        channels_of(subject.model, context.groups(subject.model), "conv2", "magnitude", context),
    ]  # fmt: skip
    assert all(looked)
    tensors = (
        cosine_similarity(weight), picture(inputs[0][0]),
        attribute_input(subject.model, inputs, targets, subject.task.metric.classes),
    )  # fmt: skip
    assert not any(isinstance(value, Elsewhere) for value in tensors)
