"""Factorizing: budgets that are met, what stays whole and why, and nets that go everywhere afterwards."""

import pytest
import torch
from torch import nn

from tests.model.test_layers import subject_of
from workbench.checkpoint.checkpoint import tensors
from workbench.errors import WorkbenchError
from workbench.graph.program import from_text, to_text
from workbench.measure.compute import count_macs
from workbench.model.layers import layers
from workbench.model.subject import Subject
from workbench.steps import Context, Factorize, Prune, Quantize, Reconstruct, State
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


def factorized(subject, **options):
    return run(subject, Recipe((Factorize(**options),)))


def gap(subject, state):
    inputs, _ = subject.task.split("train").batch(range(120))
    with torch.no_grad():
        return float((state.model(*inputs) - subject.model(*inputs)).square().mean())


@pytest.mark.parametrize("form", ["spatial", "channel", "tucker", "depthwise", "best"])
def test_each_layer_gets_the_part_that_was_asked_for(images, form):
    state = factorized(images, form=form, amount=0.5, exclude="fc")
    before = {layer.name: layer for layer in layers(images.model, images.task.example(2))}
    after = layers(state.model, images.task.example(2))
    for name in ("conv2", "conv3", "hidden"):
        made = [layer for layer in after if layer.name.startswith(f"{name}.")]
        assert len(made) == (3 if any(layer.name == f"{name}.2" for layer in made) else 2)
        assert sum(layer.macs for layer in made) <= 0.5 * before[name].macs
    assert all(value is images.model.fc._parameters[name] or torch.equal(value, images.model.fc._parameters[name])
               for name, value in state.model.fc.named_parameters())  # fmt: skip


@pytest.mark.parametrize(("budget", "amount"), [("macs", 0.3), ("params", 0.35)])
@pytest.mark.parametrize("name", ["images", "transformer"])
def test_a_budget_of_the_whole_model_is_met_and_what_is_dear_stays_whole(request, name, budget, amount):
    subject = request.getfixturevalue(name)
    state = factorized(subject, budget=budget, amount=amount)
    example = subject.task.example(2)
    cost = {
        "macs": lambda model: count_macs(model, example),
        "params": lambda model: sum(value.numel() for value in model.parameters()),
    }[budget]
    assert 0.85 * (1 - amount) < cost(state.model) / cost(subject.model) <= 1 - amount + 1e-9
    assert any("kept whole, no cheaper rank is within what was asked" in note for note in state.notes)
    if name == "images":  # the transformer is untrained, and no part of it is dearer than another
        assert gap(subject, state) < gap(subject, factorized(subject, amount=amount))


def test_a_budget_beyond_reach_is_refused(images):
    with pytest.raises(WorkbenchError, match=r"Factorize: at most \d+\.\d% of the parameters can go .* not 40\.0%"):
        factorized(images, layers="fc", budget="params", amount=0.4)


def test_energy_takes_the_cheapest_rank_that_keeps_enough(vectors):
    strict, loose = (factorized(vectors, budget="energy", amount=amount) for amount in (0.02, 0.3))
    sizes = [sum(value.numel() for value in state.model.parameters()) for state in (strict, loose)]
    assert sizes[0] > sizes[1]
    assert gap(vectors, strict) < gap(vectors, loose)


def test_layers_have_ranks_of_their_own(images):
    state = factorized(images, by_layer="conv2=7, conv3=0.5, *=0", amount=0.9)
    assert state.model.conv2[0].out_channels == 7
    assert isinstance(state.model.conv3, nn.Sequential)
    assert isinstance(state.model.conv1, nn.Conv2d)
    with pytest.raises(WorkbenchError, match="conv2 has ranks 1 to 24, not 25"):
        factorized(images, by_layer="conv2=25")
    with pytest.raises(WorkbenchError, match="by_layer: nothing that can go matches 'conv9'"):
        factorized(images, by_layer="conv9=2")


def test_ranks_are_multiples(images):
    state = factorized(images, round_to=4, amount=0.4)
    assert {state.model.conv2[0].out_channels % 4, state.model.hidden[0].out_features % 4} == {0}
    with pytest.raises(WorkbenchError, match=r"no layer becomes cheaper \(conv1: no cheaper rank"):
        factorized(images, layers="conv1", round_to=16)


@pytest.mark.parametrize("form", ["spatial", "channel", "tucker"])
def test_refitting_brings_back_what_was_lost(images, form):
    steps = (Factorize(form=form, layers="conv*, hidden", amount=0.4, whitened=False), Reconstruct())
    rough, state = run(images, Recipe(steps[:1])), run(images, Recipe(steps))
    assert gap(images, state) < 0.7 * gap(images, rough)
    assert gap(images, factorized(images, form=form, layers="conv*, hidden", amount=0.4)) < gap(images, rough)


class Odd(nn.Module):
    """Layers that cannot be replaced, each for its own reason."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.one, self.other, self.read, self.plain = (nn.Linear(12, 12) for _ in range(4))
        self.other.weight = self.one.weight
        self.unused, self.hooked = nn.Linear(12, 12), nn.Linear(12, 12)
        self.hooked.register_forward_hook(lambda *_: None)

    def forward(self, x):
        x = self.hooked(self.plain(self.other(self.one(self.embed(x))).relu()))
        return nn.functional.linear(self.read(x).relu(), self.read.weight).mean(1)


@pytest.fixture(scope="module")
def odd():
    torch.manual_seed(0)
    data = [(torch.randint(0, 40, (5,)), number % 12) for number in range(48)]
    return Subject("odd", Odd().eval(), Task(train=data, validation=data))


def test_what_stays_whole_is_named_with_the_reason(odd):
    state = factorized(odd, amount=0.2)
    replaced = {name for name, module in state.model.named_children() if isinstance(module, nn.Sequential)}
    assert replaced == {"embed", "plain"}
    assert {
        "one, other: kept whole, its weight is shared",
        "unused: kept whole, it is not called as a layer",
        "hooked: kept whole, it computes in a way of its own",
        "read: kept whole, its weight is read by the code around it",
    } < set(state.notes)
    with pytest.raises(WorkbenchError, match=r"no layer becomes cheaper \(one: its weight is shared\)"):
        factorized(odd, layers="one")
    with pytest.raises(WorkbenchError, match="the weight of read is read by the code around it"):
        factorized(odd, layers="read", amount=0.2)


def test_a_table_at_full_rank_gives_the_same_rows(odd):
    state = factorized(odd, by_layer="embed=12, *=0")
    tokens = torch.arange(40)
    with torch.no_grad():
        torch.testing.assert_close(state.model.embed(tokens), odd.model.embed(tokens), rtol=1e-4, atol=1e-5)


def test_weights_that_are_turned_are_factorized_too():
    subject = subject_of("gpt2")
    example = subject.task.example(2)
    names = [layer.name for layer in layers(subject.model, example) if layer.kind == "linear transposed"]
    ranks = {name: min(subject.model.get_submodule(name).weight.shape) for name in names}
    state = factorized(subject, layers=", ".join(names), by_layer=", ".join(f"{n}={r}" for n, r in ranks.items()))
    assert all(isinstance(state.model.get_submodule(name), nn.Sequential) for name in names)
    with torch.no_grad():
        torch.testing.assert_close(state.model(*example), subject.model(*example), rtol=1e-4, atol=1e-4)


def test_codings_and_masks_that_are_gone_are_told(images):
    before = (Prune(amount=0.5, layers="conv2"), Quantize(bits=8, layers="conv2, conv3"))
    state = run(images, Recipe((*before, Factorize(layers="conv2"))))
    assert state.codings.keys() == {"conv3.weight"}
    assert not state.pruned
    assert "conv2.weight: stored in full again, because factors took their place" in state.notes
    assert "conv2.weight: zeros are gone, because factors took their place" in state.notes
    with pytest.raises(WorkbenchError, match="activations are on grids; put factorize before"):
        run(images, Recipe((Quantize(activations=8), Factorize())))


def test_the_last_factor_stands_for_the_layer(images):
    state = Factorize(layers="conv2").build(State.of(images), Context(images))
    assert state.origin("conv2.1") == "conv2"


def test_a_scan_is_over_ranks(images, open_session):
    session = open_session(images)
    table = session.sensitivity(Factorize(layers="conv2, fc", round_to=2), amounts=(0.4, 0.9))
    assert table.targets == ("conv2", "fc")
    assert table.at("conv2", 0.4).score is not None
    assert table.at("conv2", 0.4).bytes > table.at("conv2", 0.9).bytes
    assert "no layer becomes cheaper (fc: no cheaper rank" in table.at("fc", 0.9).reason


def test_factors_go_into_a_program_and_back(images):
    state = run(images, Recipe((Factorize(amount=0.4, form="best", exclude="fc"), Quantize(activations=8))))
    inputs = images.task.example(16)
    again = from_text(to_text(state.model, images.task.example(2)), tensors(state.model))
    with torch.no_grad():
        torch.testing.assert_close(again(*inputs), state.model(*inputs), rtol=1e-4, atol=1e-4)
