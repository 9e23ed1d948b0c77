"""What training steps share: schedules, patience, precision, batches, and losses token by token."""

import shutil
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.model.layers import layers
from workbench.model.subject import Subject
from workbench.steps import Distill, FindTicket, FineTune, PruneGradually
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.schedules import SCHEDULES, Pick, batches
from workbench.steps.train.training import trainable
from workbench.task.task import Task


def course(name, steps, rate=0.1):
    """Return the step size of every batch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)
    schedule, found = SCHEDULES[name](optimizer, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_every_schedule_has_its_shape():
    assert course("constant", 40) == [0.1] * 40
    step = course("step", 40)
    assert step == pytest.approx([0.1] * 20 + [0.01] * 10 + [0.001] * 10)
    cosine = course("cosine", 40)
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 0.1
    assert cosine[20] == pytest.approx(0.05)
    cycle = course("one-cycle", 40)
    top = max(range(40), key=cycle.__getitem__)
    assert cycle[top] == pytest.approx(0.1)
    assert 0 < top < 20
    assert cycle[: top + 1] == sorted(cycle[: top + 1])
    assert cycle[top:] == sorted(cycle[top:], reverse=True)
    assert cycle[-1] < 1e-5


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_no_schedule_fails_on_few_batches(name, steps):
    assert all(0 < rate <= 0.1 + 1e-12 for rate in course(name, steps))


@pytest.mark.parametrize(("patience", "taken"), [(0, [0, 3, 6]), (2, [0]), (3, [0, 3, 6])])
def test_patience_counts_epochs_without_a_better_one(patience, taken):
    pick, found = Pick(patience, 0.5), []
    for epoch, score in enumerate((0.5, 0.4, 0.5, 0.6, 0.6, 0.5, 0.7, 0.1, 0.1)):
        if pick.takes(score):
            found.append(epoch)
        if pick.over:
            break
    assert found == taken


def epochs(subject, step):
    ticks = []
    run(subject, Recipe((step,)), Progress(ticks.append))
    return sum(bool(tick.figures and tick.figures.score is not None) for tick in ticks)


def test_training_stops_when_nothing_gets_better(images):
    # So large steps are no help at all.
    hopeless = {"learning_rate": 1.0, "batch_size": 100, "schedule": "constant"}
    assert epochs(images, FineTune(epochs=8, patience=2, **hopeless)) < 8
    assert epochs(images, Distill(epochs=8, patience=2, **hopeless)) < 8
    assert epochs(images, FineTune(epochs=4, **hopeless)) == 4


def test_gradual_pruning_and_tickets_stop_early_only_when_pruned(images):
    hopeless = {"learning_rate": 1.0, "batch_size": 100, "patience": 1, "schedule": "constant"}
    found = run(images, Recipe((PruneGradually(epochs=6, amount=0.5, ramp=0.5, **hopeless),)))
    gone = sum(int((found.model.get_parameter(name) == 0).sum()) for name in found.pruned)
    assert gone >= 0.49 * sum(found.model.get_parameter(name).numel() for name in found.pruned)
    assert 4 <= epochs(images, FindTicket(epochs=3, rounds=1, **hopeless)) <= 6


class Casting(nn.Module):
    """Its code names a type, which is not that of weights while they are trained."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3).to(torch.bfloat16)

    def forward(self, x):
        return self.fc(x.to(torch.bfloat16)).float()


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        if self.training:
            raise RuntimeError("not in training")
        return self.fc(x)


@pytest.mark.parametrize(
    ("model", "why"), [(Casting, "training computes in float32, so code that names"), (Failing, "not in training")]
)
@pytest.mark.parametrize("step", [FineTune(epochs=1), Distill(epochs=1)], ids=lambda step: step.kind)
def test_a_model_that_cannot_be_trained_is_told_of(model, why, step):
    data = torch.randn(20, 8), torch.arange(20) % 3
    with pytest.raises(WorkbenchError, match=f"step 1 .*the model or its loss fails while it trains: .*{why}"):
        run(Subject("net", model().eval(), Task(train=data, validation=data)), Recipe((step,)))


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_large_products_are_short_and_weights_stay_in_float32(images, precision, dtype):
    seen = set()

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = images.model

        def forward(self, x):
            out = self.net(x)
            if torch.is_grad_enabled():
                seen.add(out.dtype)
            return out

    subject = Subject("spy", Spy(), images.task)
    full, short = (
        run(subject, Recipe((FineTune(epochs=1, precision=it, batch_size=100),))) for it in ("full", precision)
    )
    assert seen == {torch.float32, dtype}
    for name, value in short.model.state_dict().items():
        assert value.dtype == full.model.state_dict()[name].dtype
    assert not torch.equal(full.model.net.fc.weight, short.model.net.fc.weight)
    torch.testing.assert_close(full.model.net.fc.weight, short.model.net.fc.weight, rtol=0, atol=0.05)


@pytest.mark.parametrize(("samples", "size", "sizes"), [
    (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1]), (5, 2, [2, 3]),
])  # fmt: skip
def test_a_last_batch_of_one_joins_the_one_before(samples, size, sizes):
    parts = batches(torch.arange(samples), size)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), torch.arange(samples))


def few(vectors, count):
    inputs, targets = vectors.task.split("train").batch(range(count))
    return Subject("few", vectors.model, Task(train=(inputs[0], targets), validation=(inputs[0], targets)))


def test_batch_norms_train_whatever_is_left(vectors):
    state = run(few(vectors, 9), Recipe((FineTune(batch_size=4, learning_rate=0.01, schedule="one-cycle"),)))
    assert all(bool(value.isfinite().all()) for value in state.model.state_dict().values())
    for subject, size in ((few(vectors, 1), 4), (few(vectors, 9), 1)):
        with pytest.raises(WorkbenchError, match=r"step 1 \(fine_tune\): a batch norm cannot train on one sample"):
            run(subject, Recipe((FineTune(batch_size=size),)))


class Tagger(nn.Module):
    """Gives each token its class."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(12, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.embed(x))


def test_token_by_token_is_as_if_tokens_were_samples():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(4, 7, 3, generator=generator), torch.randint(0, 3, (4, 7), generator=generator)
    loss = Task(validation=(outputs, targets)).loss
    torch.testing.assert_close(loss(outputs, targets), F.cross_entropy(outputs.view(28, 3), targets.view(28)))
    pictures = torch.randn(4, 3, 5, 6, generator=generator), torch.randint(0, 3, (4, 5, 6), generator=generator)
    torch.testing.assert_close(loss(*pictures), F.cross_entropy(*pictures))


@pytest.mark.parametrize("labels_only", [FineTune(learning_rate=0.1), Distill(learning_rate=0.1, soft=0.0)])
def test_a_tagger_learns(labels_only):
    x = torch.randint(0, 12, (200, 7), generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = Subject("tagger", Tagger(), Task(train=(x, x % 3), validation=(x, x % 3)))
    state = run(subject, Recipe((labels_only,)))
    assert state.model(x).argmax(-1).eq(x % 3).double().mean() > 0.95


def test_decay_spares_what_it_is_told():
    pulled, spared = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = FineTune(weight_decay=0.1)._optimizer(nn.Module(), [pulled], [spared])
    pulled.grad, spared.grad = torch.zeros(3), torch.zeros(3)
    optimizer.step()
    assert (pulled < 1).all()
    assert (spared == 1).all()


def test_trainable_finds_tied_weights_by_any_of_their_names():
    model = nn.ModuleDict({"first": nn.Linear(4, 4, bias=False), "last": nn.Linear(4, 4)})
    model["last"].weight = model["first"].weight
    example = (torch.zeros(2, 4),)
    last = next(layer for layer in layers(nn.Sequential(model["first"], model["last"]), example) if layer.name == "1")
    trained = trainable(model, [replace(last, name="last", module="last", parameter="last.weight")])
    assert trained.parameters == [model["first"].weight, model["last"].bias]


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # torch.compile's own
def test_a_compiled_training_is_the_same_training(images):
    # By SGD: what follows from rounding alone, as the gradient of a bias before a norm, AdamW takes for a direction.
    step = FineTune(epochs=1, learning_rate=0.01, batch_size=16, optimizer="sgd")
    torch._dynamo.utils.counters.clear()
    plain, compiled = (run(images, Recipe((replace(step, compiled=flag),))) for flag in (False, True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not any("compiled" in note for note in compiled.notes)
    assert all(module._compiled_call_impl is None for module in compiled.model.modules())
    for name, value in plain.model.named_parameters():
        assert torch.allclose(value, compiled.model.get_parameter(name), atol=1e-3), name


def test_what_draws_by_chance_is_not_compiled_and_says_so(images):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.LazyLinear(10))
    with torch.no_grad():
        model(images.task.example(1)[0])
    tuned = run(
        Subject("drops", model.eval(), images.task), Recipe((FineTune(epochs=1, batch_size=16, compiled=True),))
    )
    assert any("not compiled" in note for note in tuned.notes)


def test_a_model_that_cannot_be_compiled_says_so(images, monkeypatch):
    from torch._dynamo.exc import Unsupported

    def refused(self):
        self._compiled_call_impl = _raise(Unsupported("no C++ compiler"))

    def _raise(error):
        def call(*args, **kwargs):
            raise error

        return call

    monkeypatch.setattr(nn.Module, "compile", refused)
    with pytest.raises(WorkbenchError, match=r"cannot be compiled: no C\+\+ compiler"):
        run(images, Recipe((FineTune(epochs=2, batch_size=16, compiled=True),)))
