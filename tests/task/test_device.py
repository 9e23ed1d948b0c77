"""Devices by name: what is there, what is not, and what no name is."""

import pytest
import torch

from workbench.cli.arguments import parser
from workbench.cli.subject import settings
from workbench.errors import WorkbenchError
from workbench.session.settings import Settings
from workbench.task import device
from workbench.task.batch import Call, Inputs
from workbench.task.device import CPU, device_named, moved


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setitem(device._COUNTS, "cuda", lambda: 2)
    monkeypatch.setitem(device._COUNTS, "mps", lambda: 0)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_a_name_is_a_device_that_is_there(name, wanted, two_cards):
    assert device_named(name) == torch.device(wanted)


def test_without_a_card_auto_is_the_cpu_whatever_else_is_there(monkeypatch):
    monkeypatch.setitem(device._COUNTS, "cuda", lambda: 0)
    monkeypatch.setitem(device._COUNTS, "mps", lambda: 1)
    assert device_named("auto") == CPU
    assert device_named("mps").type == "mps"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cuda:2", "there is no device 'cuda:2' here; there is cpu, cuda:0 to cuda:1"),
        ("mps", "there is no device 'mps' here"),
        ("gpu", "device 'gpu' is not known; give auto, cpu"),
        ("cuda:x", "device 'cuda:x' is not known"),
        ("cuda:", "device 'cuda:' is not known"),
        ("", "device '' is not known"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_is(name, said, two_cards):
    with pytest.raises(WorkbenchError, match=said):
        device_named(name)


def test_inputs_stay_as_they_are_handed_over_when_they_are_moved():
    inputs = Inputs.of((torch.ones(2),), {"mask": torch.zeros(2)}, Call(output="logits"))
    again = moved(inputs, torch.device("meta"))
    assert again.call is inputs.call
    assert {value.device.type for value in again} == {"meta"}
    targets = ["a word", torch.ones(1)]
    assert moved(targets, CPU)[0] == "a word"
    assert moved(targets, CPU)[1] is targets[1]


def test_the_command_line_names_it():
    chosen = parser().parse_args(["inspect", "digits-resnet", "--device", "cuda:1"])
    assert settings(chosen).device == "cuda:1"
    assert Settings().device == settings(parser().parse_args(["inspect", "digits-resnet"])).device == "auto"
    assert Settings(device="cpu").changed() == {"device": "cpu"}
