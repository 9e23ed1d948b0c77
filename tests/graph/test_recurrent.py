"""Hidden units of recurrent layers, and what language models are made of, as coupled channels."""

from itertools import product

import pytest
import torch
from torch import nn

from tests.graph.analysed import groups_of
from tests.nets import build
from tests.sampling import sampled
from workbench.graph import coupled_groups, cut, head_groups
from workbench.steps.prune.importance.slots import producing, reading

TOKENS = (torch.randint(0, 20, (2, 7), generator=torch.Generator().manual_seed(0)),)


class Layered(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.layer = kind(8, 12, batch_first=True, **options)
        width = (options.get("proj_size") or 12) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.layer(self.embed(x))[0].mean(1))


OPTIONS = [{}, {"num_layers": 2}, {"bidirectional": True, "num_layers": 2}, {"bias": False}]


@pytest.mark.parametrize(("kind", "options"), sampled(product([nn.LSTM, nn.GRU, nn.RNN], OPTIONS), 5))
def test_a_unit_is_a_row_of_each_gate_in_all_layers_and_directions(kind, options):
    model = Layered(kind, **options).eval()
    group = next(group for group in coupled_groups(model, TOKENS) if group.name == "layer")
    assert (group.protected, group.exact, len(group.units)) == (None, True, 12)
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    rows = {(slot.parameter, slot.dim): slot.indices for slot in group.units[5]}
    assert rows["layer.weight_hh_l0", 0] == tuple(5 + 12 * gate for gate in range(gates))
    assert rows["layer.weight_hh_l0", 1] == (5,)
    assert rows["head.weight", 1] == ((5, 17) if options.get("bidirectional") else (5,))
    smaller = cut(model, [group], {"layer": [0, 5, 7]})
    assert (smaller.layer.hidden_size, smaller.layer.weight_hh_l0.shape) == (9, (9 * gates, 9))
    assert smaller(*TOKENS).shape == (2, 4)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_what_a_projection_gives_are_other_channels_than_the_cells():
    groups = {group.name: group for group in coupled_groups(Layered(nn.LSTM, proj_size=6).eval(), TOKENS)}
    assert [len(groups[name].units) for name in ("layer", "layer#2")] == [6, 12]
    assert not any(groups[name].protected for name in ("layer", "layer#2"))


def test_states_that_are_handed_on_couple_two_layers():
    groups = groups_of("states")
    assert groups["encoder"].layers == ("encoder", "decoder")
    assert groups["encoder"].protected is None
    assert groups["narrow"].protected is None


def test_criteria_know_the_weights_of_recurrent_and_turned_layers():
    model, _ = build("recurrent")
    group = groups_of("recurrent")["gru"]
    made = {place.parameter for place in producing(model, group)}
    assert made == {"gru.weight_ih_l0", "gru.weight_hh_l0"}
    assert {place.parameter for place in reading(model, group)} == {"rnn.weight_ih_l0"}
    model, _ = build("gpt2")
    group = groups_of("gpt2")["h.0.c_fc"]
    assert [tuple(place) for place in producing(model, group)] == [("h.0.c_fc.weight", 1)]
    assert [tuple(place) for place in reading(model, group)] == [("h.0.c_out.weight", 0)]


@pytest.mark.parametrize(("name", "stream"), [("gpt2", "h.0.c_proj"), ("llama", "out")])
def test_the_residual_stream_of_language_models_can_be_cut(name, stream):
    group = groups_of(name)[stream]
    assert (group.protected, group.exact, len(group.units)) == (None, False, 12)


def test_heads_that_share_keys_and_values_go_together():
    model, example = build("llama")
    _, groups = head_groups(model, example)
    (group,) = (group for group in groups if group.heads)
    assert (group.layers, len(group.units), group.protected) == (("query", "key", "value"), 2, None)
