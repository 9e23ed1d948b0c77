"""Training on grids: gradients as in the papers, weights on their grids bit for bit, and scores that recover."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from tests.nets import TiedLinears
from workbench.checkpoint.checkpoint import read, write
from workbench.checkpoint.coding import Codebook, grid
from workbench.errors import WorkbenchError
from workbench.model.quantizer import ActivationQuantizer, quantizers, rounded_bias
from workbench.model.subject import Subject
from workbench.session.session import Session, Settings
from workbench.steps import (
    EntropyCode,
    KeepSigns,
    Prune,
    Quantize,
    QuantizeLogarithmic,
    ShareWeights,
    ShortenFloats,
    TrainQuantized,
)
from workbench.steps.quantize.train_quantized import FixedGrid, LearnedBook, LearnedStep
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.training import judge
from workbench.task.task import Task

TWO_BITS = Quantize(bits=2, ranges="mse")


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_learned_step_has_the_gradients_of_the_paper(symmetric):
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    fitted = grid(weight, 3, 0, symmetric, "mse")
    trained = LearnedStep(fitted, weight.numel())
    weight.requires_grad_()
    upstream = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    values = trained.values(weight)
    assert torch.equal(values.detach(), fitted.round(weight.detach()))
    (values * upstream).sum().backward()
    exact = weight.detach() / fitted.scale[:, None]
    low, high = (end - fitted.zero_point[:, None] for end in (fitted.low, fitted.high))
    inside = (exact >= low) & (exact <= high)
    assert 0 < int((~inside).sum()) < 40
    torch.testing.assert_close(weight.grad, upstream * inside)
    # Esser et al., equations 3 and the gradient scale of section 2.2, for the step itself.
    slope = torch.where(inside, exact.round() - exact, exact.round().clamp(low, high))
    wanted = (slope * upstream).sum(1) * (weight.numel() / 5 * fitted.high) ** -0.5
    (found,) = trained.parameters
    torch.testing.assert_close(found.grad * fitted.scale, wanted)


def test_a_book_moves_its_values_by_the_sum_of_their_weights_and_keeps_zero():
    book = Codebook(2, torch.tensor([-1.0, 0.0, 0.5, 2.0]))
    weight = torch.tensor([[0.0, 0.5, 0.5], [2.0, -1.0, 0.0]])
    trained = LearnedBook(book, weight)
    (shift,) = trained.parameters
    torch.optim.SGD([shift], 0.1).zero_grad()
    (trained.values(weight) * torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
    unit = book.book.square().mean().sqrt()
    torch.testing.assert_close(shift.grad, unit * torch.tensor([5.0, 0.0, 5.0, 4.0]))
    with torch.no_grad():
        shift.sub_(torch.tensor([-3.0, 9.0, 0.0, 0.0]))  # the first value passes the others
    moved = trained.coding()
    assert moved.book.diff().min() > 0
    assert moved.holds(trained.values(weight))
    assert torch.equal(trained.values(weight) == 0, weight == 0)


def test_a_fixed_grid_passes_gradients_straight_through():
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    fitted = grid(weight.detach(), 2, 0, True)
    values = FixedGrid(fitted).values(weight)
    assert torch.equal(values, fitted.round(weight.detach()))
    values.sum().backward()
    assert torch.equal(weight.grad, torch.ones(4, 6))


@pytest.mark.parametrize("grids", ["learned", "fixed"])
def test_two_bits_recover(images, grids):
    rough = run(images, Recipe((TWO_BITS,)))
    state = run(images, Recipe((TWO_BITS, TrainQuantized(epochs=4, learning_rate=0.01, grids=grids))))
    assert judge(state.model, images.task) > judge(rough.model, images.task) + 0.05
    for name, coding in state.codings.items():
        assert not torch.equal(state.model.get_parameter(name), rough.model.get_parameter(name))
        assert coding.holds(state.model.get_parameter(name))
        assert torch.equal(coding.scale, rough.codings[name].scale) == (grids == "fixed")
        assert (coding.scale > 0).all()


@pytest.mark.parametrize("grids", ["learned", "fixed"])
@pytest.mark.parametrize(
    "step",
    [
        Quantize(bits=3, granularity="group", group=4, symmetric=False),
        Quantize(bits=4, granularity="tensor"),
        QuantizeLogarithmic(bits=4),
        ShareWeights(bits=3),
        KeepSigns(),
        ShortenFloats(),
    ],
    ids=lambda step: step.kind,
)
def test_every_coding_is_written_and_read_bit_for_bit_with_its_zeros(images, step, grids, tmp_path):
    recipe = Recipe((Prune(amount=0.5), step, EntropyCode()))
    rough = run(images, recipe)
    state = run(images, recipe.then(TrainQuantized(epochs=1, learning_rate=0.01, grids=grids)))
    assert state.codings.keys() == rough.codings.keys()
    assert all(state.codings[name].entropy for name in state.codings)
    write(tmp_path / "model", state.model, state.codings)
    values, _ = read(tmp_path / "model")
    for name, value in state.model.state_dict().items():
        assert torch.equal(values[name], value)
    for name in rough.pruned:
        gone = rough.model.get_parameter(name) == 0
        assert bool((state.model.get_parameter(name)[gone] == 0).all())


@pytest.mark.parametrize("precision", ["full", "bf16"])
def test_activations_keep_their_grids_and_biases_lie_on_theirs(images, precision):
    quantized = Quantize(bits=3, activations=8)
    rough = run(images, Recipe((quantized,)))
    state = run(images, Recipe((quantized, TrainQuantized(epochs=1, learning_rate=0.01, precision=precision))))
    before, after = quantizers(rough.model), quantizers(state.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].grid, after[name].grid) for name in before)
    assert not any(quantizer.training for quantizer in after.values())
    moved = 0
    for layer in ("conv1", "conv2", "conv3", "hidden", "fc"):
        module, coding = state.model.get_submodule(layer), state.codings[f"{layer}.weight"]
        torch.testing.assert_close(module.bias, rounded_bias(module.bias, coding, module.input_quantizer))
        moved += not torch.equal(module.bias, rough.model.get_submodule(layer).bias)
    assert moved


def test_a_learned_activation_step_has_the_gradients_of_the_paper():
    quantizer = ActivationQuantizer(2, -1.0, 2.0).train()  # 0.0 is 1 of 0 to 3
    x = torch.tensor([-3.0, -0.6, 0.2, 0.7, 5.0], requires_grad=True)
    scale = quantizer.grid[0].clone().requires_grad_()
    given = functional_call(quantizer, {"grid": torch.stack([scale, quantizer.grid[1]])}, (x,))
    assert given.tolist() == quantizer.eval()(x).tolist()
    given.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    inside = [round(v) - v for v in (-0.6, 0.2, 0.7)]
    assert float(scale.grad) == pytest.approx(-1 + sum(inside) + 2)


def test_activations_of_two_bits_recover_with_ranges_that_learn(images):
    rough = Recipe((Quantize(bits=4, activations=2),))
    step = TrainQuantized(epochs=4, learning_rate=0.01)
    state, fixed = run(images, rough.then(replace(step, activation_grids="learned"))), run(images, rough.then(step))
    assert judge(state.model, images.task) > judge(fixed.model, images.task)
    before, after = quantizers(fixed.model), quantizers(state.model)
    assert not any(torch.equal(before[name].grid[0], after[name].grid[0]) for name in before)
    assert all(torch.equal(before[name].grid[1], after[name].grid[1]) for name in before), "zero stays a value"
    names = list(before)
    for one, other in itertools.combinations(names, 2):
        if torch.equal(before[one].grid, before[other].grid):
            assert torch.equal(after[one].grid, after[other].grid), "what makes a value and what reads it have one grid"


def test_only_ranges_of_chosen_layers_learn(images):
    rough = Recipe((Quantize(bits=4, activations=4),))
    step = TrainQuantized(epochs=1, learning_rate=0.05, activation_grids="learned", layers="fc")
    before, after = (quantizers(run(images, recipe).model) for recipe in (rough, rough.then(step)))
    moved = {name for name in before if not torch.equal(before[name].grid, after[name].grid)}
    assert "fc.input_quantizer" in moved
    alike = {name for name in before if torch.equal(before[name].grid, before["fc.input_quantizer"].grid)}
    assert moved == alike


def test_learned_activation_ranges_are_exported(images, tmp_path):
    session = Session(images, Settings(seconds=0.0), threaded=False, autosave=None)
    session.apply(Quantize(activations=8))
    session.apply(TrainQuantized(epochs=1, learning_rate=0.01, activation_grids="learned"))
    session.export(tmp_path / "out")  # which compares each file's predictions with the session's


def test_only_chosen_layers_move(images):
    state = run(images, Recipe((TWO_BITS, TrainQuantized(layers="hidden, fc", learning_rate=0.02, epochs=4))))
    before = run(images, Recipe((TWO_BITS,))).model
    moved = {
        name for name, value in state.model.named_parameters() if not torch.equal(value, before.get_parameter(name))
    }
    assert moved == {"hidden.weight", "hidden.bias", "fc.weight", "fc.bias"}


@pytest.mark.parametrize("layers", ["*", "last"])
def test_tied_weights_stay_tied_on_one_grid(layers):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 8, generator=generator), torch.randint(0, 8, (64,), generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = Subject("tied", TiedLinears(), Task(train=(x, y), validation=(x, y)))
    state = run(subject, Recipe((Quantize(bits=4), TrainQuantized(layers=layers, learning_rate=0.05, epochs=5))))
    model = state.model
    assert model.first.weight is model.last.weight
    assert not torch.equal(model.first.weight, run(subject, Recipe((Quantize(bits=4),))).model.first.weight)
    assert all(coding.holds(model.first.weight) for coding in state.codings.values())
    assert set(state.codings) == {"first.weight", "last.weight"}


def test_what_is_on_no_grid_is_refused_with_what_puts_it_there(images):
    with pytest.raises(WorkbenchError, match=r"step 1 \(train_quantized\): .*put quantize, share_weights or the like"):
        run(images, Recipe((TrainQuantized(),)))
    with pytest.raises(WorkbenchError, match="no chosen layer is stored on a grid"):
        run(images, Recipe((Quantize(layers="fc"), TrainQuantized(layers="conv1"))))
