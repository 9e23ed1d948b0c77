"""Tied layers: one tensor for several layers, in the ledger, in groups of channels, in every file."""

import onnx
import pytest
import torch
from torch import nn

from tests import nets
from workbench.errors import WorkbenchError
from workbench.loading.load import load
from workbench.measure import measure_size
from workbench.model.subject import Subject
from workbench.steps import Context, Distill, FineTune, Prune, PruneChannels, Quantize, State, TieLayers
from workbench.steps.recipe import Recipe, run
from workbench.steps.share.sets import in_runs, layers_alike
from workbench.steps.share.tie_layers import adapted, difference, shared_weight
from workbench.task.task import Task

PLACES = ("qkv", "proj", "fc1", "fc2")


def ties(model):
    """Return the names of tensors that have several, as sets."""
    names = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), set()).add(name)
    return [some for some in names.values() if len(some) > 1]


def is_tied(model, weight="weight"):
    wanted = [{f"blocks.{number}.{place}.{weight}" for number in (0, 1)} for place in PLACES]
    return sorted(map(sorted, ties(model))) == sorted(map(sorted, wanted))


def test_the_shared_weight_is_the_average_or_the_first():
    weights = [torch.full((2, 3), value) for value in (1.0, 2.0, 6.0)]
    assert torch.equal(shared_weight(weights, "average"), torch.full((2, 3), 3.0, dtype=torch.float64))
    assert torch.equal(shared_weight(weights, "first"), weights[0])


@pytest.mark.parametrize("module", [nn.Linear(6, 4), nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="reflect")])
def test_a_difference_of_full_rank_gives_the_layer_back_and_of_less_rank_the_nearest(module):
    weight, shared = module.weight.detach().clone(), torch.zeros_like(module.weight).detach()
    inputs = torch.randn(2, *((6,) if module.weight.ndim == 2 else (3, 7, 7)))
    with torch.no_grad():
        wanted = module(inputs)
        module.weight.zero_()
    torch.testing.assert_close(adapted(module, *difference(weight, shared, 100))(inputs), wanted)
    down, up = difference(weight.clone().normal_(), shared, 1)
    assert len(down) == up.shape[1] == 1


def test_layers_are_alike_by_block_by_place_or_by_shape():
    rows = Context(Subject("net", net := _Beside(), _task(4))).layers(net)
    sets = {way: [[one.name for one in some] for some in layers_alike(rows, net, way)] for way in
            ("blocks", "places", "shapes")}  # fmt: skip
    assert sets["blocks"] == [["blocks.0.0", "blocks.0.1"]]  # the second block differs as a whole
    assert sets["places"] == [["blocks.0.0", "blocks.0.1", "blocks.1.0"]]
    assert sets["shapes"] == [["blocks.0.0", "blocks.0.1", "blocks.1.0", "last"]]
    assert [len(some) for some in in_runs(rows, 2)] == [3, 2]
    assert in_runs(rows, 5) == []


class _Beside(nn.Module):
    """Two blocks, the second of which differs, and a layer more; all read the input."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, wide)]) for wide in (4, 5)])
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        return sum(layer(x)[:, :4] for block in self.blocks for layer in block) + self.last(x)


def _task(width):
    return Task(validation=(torch.randn(8, width), torch.zeros(8, dtype=torch.int64)))


def test_a_tied_tensor_counts_once_and_full_differences_change_nothing(transformer):
    plain = run(transformer, Recipe((TieLayers(),)))
    assert is_tied(plain.model)
    values = sum(value.numel() for value in transformer.model.blocks[0].parameters() if value.dim() > 1)
    before, after = (measure_size(model, {}, transformer) for model in (transformer.model, plain.model))
    assert before.total - after.total >= 4 * values
    assert dict(after.ledger)["parameters removed or added"] == -4 * values
    exact = run(transformer, Recipe((TieLayers(rank=1000),)))
    inputs = transformer.task.example(8)
    torch.testing.assert_close(exact.model(*inputs), transformer.model(*inputs))
    errors = [_error(transformer, TieLayers(rank=rank)) for rank in (0, 2, 6)]
    assert errors[0] > errors[1] > errors[2] > 0


def _error(subject, step):
    model = run(subject, Recipe((step,))).model
    rest = 0.0
    for number in (0, 1):
        layer, before = model.blocks[number].fc1, subject.model.blocks[number].fc1.weight
        weight = layer.weight if step.rank == 0 else layer.shared.weight + layer.up.weight @ layer.down.weight
        rest += float((weight - before).detach().square().sum())
    return rest


def test_all_uses_are_one_group_and_lose_their_channels_together(transformer):
    tied = run(transformer, Recipe((TieLayers(),)))
    _, groups = Context(transformer).channels(tied.model)
    (hidden,) = [group for group in groups if group.layers[0].endswith("fc1")]
    assert len(hidden.units) == 24  # those of one block, not of two
    smaller = run(transformer, Recipe((TieLayers(), PruneChannels(amount=0.4, round_to=1))))
    assert is_tied(smaller.model)
    assert len(smaller.model.get_parameter("blocks.0.fc1.weight")) < 24
    assert not [note for note in smaller.notes if "in no group" in note]


def test_tied_layers_stay_so_through_later_steps_export_and_reload(transformer, open_session, tmp_path):
    recipe = Recipe((TieLayers(rank=1), Distill(epochs=1), Prune(amount=0.3), FineTune(epochs=1), Quantize(bits=8)))
    state = State.of(transformer)
    for done, step in enumerate(recipe.steps):
        state = run(transformer, Recipe(recipe.steps[: done + 1]), start=(done, state))
        assert is_tied(state.model, "shared.weight"), step.kind
    session = open_session(transformer)
    measured = session.apply(recipe)
    folder = session.export(tmp_path / "out", ("safetensors", "onnx"))
    again = load(folder, task=transformer.task)
    assert is_tied(again.model, "shared.weight")
    assert type(again.model.get_submodule("blocks.1.fc1.shared")) is nn.Linear
    inputs = transformer.task.example(64)
    torch.testing.assert_close(again.model(*inputs), session.state.model(*inputs), rtol=1e-5, atol=1e-5)
    assert measure_size(again.model, again.codings, again).total == measured.bytes.total
    stored = onnx.load(folder / "model.onnx").graph.initializer
    assert sum(list(one.dims) in ([36, 12], [12, 36]) for one in stored) == 1
    assert again.codings.keys() == session.state.codings.keys()


def test_masks_and_codings_that_no_longer_hold_are_said(transformer):
    state = run(transformer, Recipe((Prune(amount=0.5), Quantize(bits=4), TieLayers(layers="*.fc1"))))
    assert {"blocks.0.fc1.weight", "blocks.1.fc1.weight"}.isdisjoint(state.codings.keys() | state.pruned)
    assert "blocks.0.fc2.weight" in state.codings
    words = "stored in full again, because layers share it"
    assert f"blocks.0.fc1.weight, blocks.1.fc1.weight: {words}" in state.notes


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (TieLayers(layers="head"), "no chosen layers are at the same place"),
        (TieLayers(layers="head, patches", across="shapes"), "no chosen layers have one shape"),
        (TieLayers(groups=2), "with 2 weights left of each set, no two layers share"),
    ],
)
def test_what_cannot_be_tied_is_said(transformer, step, words):
    with pytest.raises(WorkbenchError, match=words):
        run(transformer, Recipe((step,)))


def test_layers_that_share_already_are_said(transformer):
    with pytest.raises(WorkbenchError, match="share their weights already"):
        run(transformer, Recipe((TieLayers(), TieLayers())))


def test_attention_of_torch_is_tied_without_a_difference():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    net = nn.Sequential(nn.Embedding(20, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), _Mean())
    net[1].layers[1].load_state_dict({k: v + 0.1 for k, v in layer.state_dict().items()})
    inputs, labels = nets.tokens()[0].repeat(4, 1), torch.zeros(8, dtype=torch.int64)
    subject = Subject("encoder", net.eval(), Task(validation=(inputs, labels)))
    state = run(subject, Recipe((TieLayers(rank=2),)))
    assert len(ties(state.model)) == 4
    assert any("in_proj" in name for some in ties(state.model) for name in some)
    (note,) = [note for note in state.notes if "shared without a difference" in note]
    # Its fast path reads all weights by itself.
    assert all(f"1.layers.{number}.{name}" in note for number in (0, 1) for name in ("self_attn", "linear1"))


class _Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


def test_digests_tell_tied_from_untied_states_of_equal_values(transformer):
    tied = run(transformer, Recipe((TieLayers(),)))
    apart = State(transformer.model.__class__())
    apart.model.load_state_dict(tied.model.state_dict())
    assert not ties(apart.model)
    assert apart.digest() != tied.digest()
