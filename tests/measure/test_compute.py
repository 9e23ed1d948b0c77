"""Multiply-accumulates against counts by hand, and energy that says it is a model."""

import pytest
import torch
from torch import nn

from tests import nets
from workbench.checkpoint.coding import Uniform
from workbench.measure import HOW
from workbench.measure.compute import DRAM_BYTE, FLOAT_MAC, INT8_MAC, count_macs, model_energy
from workbench.model.layers import layers
from workbench.model.quantizer import INPUT, ActivationQuantizer, attach

BY_HAND = {
    "plain": 8 * 3 * 9 * 64 + 12 * 8 * 9 * 16 + 12 * 10,
    "mlp": 10 * 16 + 16 * 12 + 12 * 4,
    "two_inputs": 6 * 8 + 4 * 8 + 4 * 8 + 16 * 3,
    # A 3 × 3 kernel over two groups of 4 inputs; then each of 8 × 8 places meets a 2 × 2 kernel over groups of 6.
    "grouped": 8 * 3 * 9 * 64 + 12 * 4 * 9 * 64 + 64 * 12 * 4 * 4 + 5 * 8 * 256,
    "mobile": (8 * 3 * 9 + 16 * 9) * 64 + (32 * 16 + 32 * 9 + 6 * 32) * 64 + (12 * 6 + 12 * 9 + 6 * 12) * 64 + 6 * 10,
    # hidden, back and the tied decoder at 7 places; the embedding only looks up.
    "tied": 7 * (8 * 12 + 12 * 8 + 8 * 20),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_macs_are_those_counted_by_hand(name):
    model, example = nets.build(name)
    assert count_macs(model, example) == BY_HAND[name]


@pytest.mark.parametrize("name", BY_HAND)
def test_the_layers_share_them_out(name):
    model, example = nets.build(name)
    assert sum(layer.macs for layer in layers(model, example)) == BY_HAND[name]


def test_the_attention_of_torch_is_counted_though_its_fast_path_is_not():
    model, example = nets.build("text")
    attention = 7 * 8 * 24 + 2 * 7 * 7 * 8 + 7 * 8 * 8
    assert count_macs(model, example) == 2 * attention + 2 * 7 * 8 * 16 + 8 * 4


def test_macs_do_not_depend_on_the_batch():
    model, (image,) = nets.build("plain")
    other, _ = nets.build("plain")
    assert count_macs(model, (torch.cat([image] * 4),)) == count_macs(other, (image,))


def test_a_shared_module_counts_each_time():
    model, example = nets.build("shared")
    found = {layer.name: layer.macs for layer in layers(model, example)}
    assert found["loop.0"] == 3 * 8 * 8 * 9 * 64
    assert count_macs(model, example) == sum(found.values())


def integer(layer: nn.Linear, bits: int) -> Uniform:
    return Uniform(bits, torch.ones(()), torch.zeros((), dtype=torch.long), -7, 7)


def test_energy_is_modelled_and_falls_with_the_widths():
    assert HOW["energy"] == "modelled"
    model, example = nets.build("mlp")
    found, macs = layers(model, example), BY_HAND["mlp"]
    assert model_energy(model, {}, found, macs, 1000) == pytest.approx(macs * FLOAT_MAC + 1000 * DRAM_BYTE)
    codings = {layer.parameter: integer(model[0], 4) for layer in found}
    assert model_energy(model, codings, found, macs, 0) == pytest.approx(macs * FLOAT_MAC)  # floats flow still
    for layer in found:
        attach(model.get_submodule(layer.name), INPUT, ActivationQuantizer(8, -1, 1))
    assert model_energy(model, codings, found, macs, 0) == pytest.approx(macs * INT8_MAC / 2)
