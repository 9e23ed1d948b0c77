"""What is coupled, what is protected, and why."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.graph.analysed import groups_of
from tests.nets import NETS, build
from workbench.graph import Group, coupled_groups

ATTENTION = {"vit", "text", "bert", "cross", "window"}


def reasons(group: Group) -> str:
    assert group.protected is not None
    return group.protected


@pytest.mark.parametrize("name", NETS)
def test_every_output_channel_of_a_layer_is_in_exactly_one_unit(name: str) -> None:
    model, _ = build(name)
    parameters = dict(model.named_parameters())
    seen: dict[str, list[int]] = {}
    for group in groups_of(name).values():
        for slot in (slot for unit in group.units for slot in unit):
            if slot.dim == 0 and slot.parameter.endswith("bias"):
                seen.setdefault(slot.parameter, []).extend(slot.indices)
    layers = [n for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d)) and m.bias is not None]
    assert layers or name == "mobile"
    for layer in layers:
        assert sorted(seen[f"{layer}.bias"]) == list(range(len(parameters[f"{layer}.bias"])))


@pytest.mark.parametrize("name", sorted(set(NETS) - {"window"}))
def test_every_operator_is_understood(name: str) -> None:
    assert not [g for g in groups_of(name).values() if g.protected and "not understood" in g.protected]


@pytest.mark.parametrize("name", sorted(set(NETS) - {"tied", "padded", "two_outputs"} - ATTENTION))
def test_a_convolutional_net_has_nothing_protected_but_its_output(name: str) -> None:
    protected = [g.protected for g in groups_of(name).values() if g.protected is not None]
    assert protected == ["reaches the model's output"]


def test_channels_beside_the_padding_are_cut_and_padded_ones_are_not() -> None:
    groups = groups_of("padded")
    residual = groups["conv1"]
    assert residual.protected is None
    assert residual.layers == ("conv1", "layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv2")
    first = {(slot.parameter, slot.dim): slot.indices for slot in residual.units[0]}
    assert first["conv1.weight", 0] == (0,)
    assert first["layer2.0.conv2.weight", 0] == (2,)
    assert first["layer3.0.conv2.weight", 0] == (6,)
    assert first["linear.weight", 1] == (6,)
    assert "padded" in reasons(groups["layer2.0.conv2"])
    assert "layer2.0" in reasons(groups["layer2.0.conv2"])
    assert len(groups["layer2.0.conv2"].units) == 4
    assert len(groups["layer3.0.conv2"].units) == 8


def test_a_flattened_channel_takes_all_its_places_with_it() -> None:
    unit = groups_of("flattened")["features.0.0"].units[1]
    assert next(slot.indices for slot in unit if slot.parameter == "head.1.weight") == (4, 5, 6, 7)


def test_a_concatenated_channel_is_read_where_it_was_put() -> None:
    groups = groups_of("dense")
    assert groups["convs.0"].consumers == ("convs.1", "convs.2", "head")
    unit = groups["convs.1"].units[0]
    assert next(slot.indices for slot in unit if slot.parameter == "final.running_var") == (10,)


def test_a_depthwise_multiplier_ties_its_outputs() -> None:
    unit = groups_of("mobile")["stem.0"].units[3]
    assert next(slot.indices for slot in unit if slot.parameter == "multiplied.0.weight") == (6, 7)


def test_grouped_convolutions_lose_one_channel_of_every_group() -> None:
    groups = groups_of("grouped")
    slots = {(s.parameter, s.dim): s.indices for s in groups["grouped.0"].units[0]}
    assert slots["grouped.0.weight", 0] == (0, 6)
    assert slots["up.weight", 0] == (0, 6)
    assert {(s.parameter, s.dim): s.indices for s in groups["up"].units[1]}["up.weight", 1] == (1,)


def test_norms_over_channels_are_not_exact() -> None:
    assert not groups_of("convnext")["stem"].exact
    assert not groups_of("groupnorm")["conv1"].exact
    assert groups_of("groupnorm")["conv2"].exact
    assert groups_of("convnext")["blocks.0.expand"].exact


def test_a_transformer_gives_its_hidden_width_and_keeps_its_heads() -> None:
    groups = groups_of("vit")
    assert groups["blocks.0.fc1"].protected is None
    assert "heads" in reasons(groups["blocks.0.qkv"])
    assert groups["patches"].protected is not None
    assert groups_of("text")["encoder.linear1"].protected is None
    assert groups_of("bert")["inner"].protected is None
    assert groups_of("bert")["inner"].consumers == ("outer",)


def test_tied_weights_share_their_features_and_keep_their_rows() -> None:
    groups = groups_of("tied")
    assert {(s.parameter, s.dim) for s in groups["back"].units[0]} >= {
        ("embed.weight", 1),
        ("back.weight", 0),
    }
    assert reasons(groups["decoder"]) == "rows chosen by an index at embed"


def test_halves_that_a_chunk_makes_stay_equal() -> None:
    slots = {(s.parameter, s.dim): s.indices for s in groups_of("shared")["split"].units[1]}
    assert slots == {("split.weight", 0): (1, 7), ("split.bias", 0): (1, 7), ("head.weight", 1): (1, 7)}


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.hidden, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden(torch.special.i0(self.before(x)))))


def test_an_unknown_operator_protects_what_it_touches_and_nothing_else() -> None:
    groups = {group.name: group for group in coupled_groups(Unknown(), (torch.randn(2, 4),))}
    assert reasons(groups["before"]) == "operator 'special_i0' is not understood at the top level"
    assert groups["hidden"].protected is None


class WrittenSize(nn.Module):
    """The graph shows nothing wrong here: only a run tells that the view has its size from the code."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.conv, self.head = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(F.relu(self.wide(x))).view(-1, 16))


def test_what_fails_when_it_is_run_is_protected() -> None:
    groups = {group.name: group for group in coupled_groups(WrittenSize(), (torch.randn(2, 3, 2, 2),))}
    assert "does not run" in reasons(groups["conv"])
    assert groups["wide"].protected is None


class SpatialGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.head = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 1, 1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head((x * torch.sigmoid(self.gate(x))).mean((2, 3)))


def test_a_single_channel_that_gates_all_others_stays() -> None:
    groups = {group.name: group for group in coupled_groups(SpatialGate(), (torch.randn(2, 3, 4, 4),))}
    assert "one channel" in reasons(groups["gate"])
    assert groups["conv"].protected is None


class Multiplied(nn.Module):
    """Linear layers whose weights are turned and multiplied by hand, as some language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(6, 8), nn.Linear(8, 5, bias=False), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x @ self.one.weight.T + self.one.bias)
        return F.linear(torch.matmul(x, self.two.weight.transpose(0, 1)), self.head.weight, self.head.bias)


def test_a_weight_that_is_turned_and_multiplied_by_hand_is_a_layer() -> None:
    groups = {g.name: g for g in coupled_groups(Multiplied().eval(), (torch.randn(4, 6),))}
    assert groups["one"].protected is None
    assert groups["one"].consumers == ("two",)
    assert {(slot.parameter, slot.dim) for slot in groups["two"].units[0]} == {("two.weight", 0), ("head.weight", 1)}


def test_experts_in_one_tensor_lose_hidden_channels_together() -> None:
    groups = groups_of("experts")
    hidden = next(group for group in groups.values() if ("inner", 2) in group.made_by)
    assert hidden.protected is None
    assert {(slot.parameter, slot.dim) for slot in hidden.units[0]} == {("inner", 2), ("outer", 1)}
    assert hidden.read_by == (("outer", 1),)
