"""What a search may do before it trains: methods by degrees, and methods that are done or not."""

from __future__ import annotations

import workbench as wb
from workbench.search.planner.space import Space
from workbench.steps import SwapActivations, TieLayers
from workbench.steps.input.resize_input import ResizeInput


def space(task, *methods):
    return Space.of(task, wb.Goal(lose=1.0, least="bytes"), methods)


def test_a_method_without_degrees_is_done_or_not(transformer):
    plain, more = space(transformer.task), space(transformer.task, "swap_activations", "tie_layers")
    assert plain.switched == []
    assert {kind.kind for kind in more.switched} == {"swap_activations", "tie_layers"}
    knobs = more.base_knobs()
    assert knobs["swap_activations"] == ("off", "on")
    assert knobs["swap_activations.into"] == ("hard", "relu")
    seeds = more.base_seeds()
    assert [seed["tie_layers"] for seed in seeds].count("on") == 1
    assert len(seeds) == 2 + len(plain.base_seeds())
    on = {"swap_activations": "on", "swap_activations.into": "relu", "prune_channels": 0.3, "epochs": "2"}
    steps = more.base(on)
    assert steps[0] == SwapActivations(into="relu")
    assert [step.kind for step in steps[1:]] == ["prune_channels", "distill"]
    assert more.base({"tie_layers": "on"})[0] == TieLayers()
    assert more.base(dict.fromkeys(("swap_activations", "tie_layers"), "off")) == ()


def test_what_a_model_is_fed_can_be_searched(images):
    own = space(images.task, "resize_input")
    knobs = own.base_knobs()
    assert knobs["resize_input.scale"] == ("0.75", "0.5")
    assert own.base({"resize_input": "on", "resize_input.scale": "0.5"})[0] == ResizeInput(scale=0.5)
