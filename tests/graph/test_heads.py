"""Attention heads: found in the graph, cut like channels, and the model computes what it does with them set to zero."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from tests.nets import build
from workbench.graph import Group, cut, head_groups, mask

HEADS = {
    "vit": {"blocks.0.qkv": 3, "blocks.1.qkv": 3},
    "text": {"encoder.self_attn": 2, "attention": 2},
    "bert": {"attention.query": 3},
    "cross": {"attention": 4},
}


@functools.cache
def analysed(name: str) -> tuple[nn.Module, tuple[Group, ...]]:
    return head_groups(*build(name))


def output(model: nn.Module, example: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return model.double()(*(x.double() if x.is_floating_point() else x for x in example))


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_found(name: str) -> None:
    opened, groups = analysed(name)
    assert {group.name: len(group.units) for group in groups if group.protected is None} == HEADS[name]
    model, example = build(name)
    assert dict(opened.named_parameters()).keys() == dict(model.named_parameters()).keys()
    with torch.no_grad():
        torch.testing.assert_close(opened(*example), model(*example))


def test_a_head_is_its_queries_keys_values_and_what_reads_them() -> None:
    (group,) = analysed("bert")[1]
    assert group.layers == ("attention.query", "attention.key", "attention.value")
    assert group.consumers == ("attention.dense",)
    slots = {(slot.parameter, slot.dim): slot.indices for slot in group.units[1]}
    assert slots == {
        (f"attention.{name}", dim): (4, 5, 6, 7)
        for name, dim in (
            *((f"{layer}.{kind}", 0) for layer in ("query", "key", "value") for kind in ("weight", "bias")),
            ("dense.weight", 1),
        )
    }
    fused = {(s.parameter, s.dim): s.indices for s in analysed("vit")[1][0].units[2]}
    assert fused["blocks.0.qkv.weight", 0] == (8, 9, 10, 11, 20, 21, 22, 23, 32, 33, 34, 35)


@pytest.mark.parametrize("name", HEADS)
def test_a_model_without_heads_is_the_one_with_these_heads_silent(name: str) -> None:
    opened, groups = analysed(name)
    _, example = build(name)
    groups = tuple(group for group in groups if group.protected is None)
    for remove in [{g.name: [0] for g in groups}, *({g.name: range(1, len(g.units))} for g in groups)]:
        smaller = cut(opened, groups, remove)
        assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in opened.parameters())
        found, silent = output(smaller, example), output(mask(opened, groups, remove), example)
        torch.testing.assert_close(found, silent, rtol=1e-9, atol=1e-9)


def test_heads_can_be_cut_again_and_for_any_batch() -> None:
    opened, groups = analysed("bert")
    smaller = cut(opened, groups, {"attention.query": [1]})
    again, left = head_groups(smaller, build("bert")[1])
    assert [len(group.units) for group in left] == [2]
    last = cut(again, left, {"attention.query": [0]})
    assert last.get_parameter("attention.key.weight").shape == (4, 12)
    for batch in (1, 5):
        assert last(torch.ones(batch, 7, dtype=torch.long)).shape == (batch, 4)


def test_dropout_is_still_there_for_training() -> None:
    opened, _ = analysed("bert")
    assert isinstance(opened.get_submodule("attention.dropout"), nn.Dropout)


def test_a_head_takes_its_column_of_a_table_of_places_with_it() -> None:
    opened, (group,) = analysed("window")
    assert (group.name, group.protected) == ("blocks.0.qkv", None)
    assert cut(opened, [group], {group.name: [1]}).get_parameter("blocks.0.table").shape == (9, 2)


@pytest.mark.parametrize("name", ["plain", "shared", "grouped", "dense"])
def test_a_net_without_attention_has_no_heads(name: str) -> None:
    assert head_groups(*build(name))[1] == ()
