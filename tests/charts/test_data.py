"""The columns that charts are fed with."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from tests.charts.numbers_to_draw import SIZE, latency, score
from workbench.charts import Candidate, weight_histogram
from workbench.charts.bars import bars_data
from workbench.charts.histogram import axis_top, overflow_data
from workbench.charts.labels import axis_labels, shorten
from workbench.charts.latency import latency_data
from workbench.charts.ledger import ledger_data
from workbench.charts.spectrum import spectrum_data
from workbench.charts.trade_off import front_data, pareto_front, trade_off_data
from workbench.charts.training import MOST, training_data
from workbench.charts.units import byte_unit
from workbench.inspection import histogram, singular_spectrum


def test_the_waterfall_ends_at_the_file():
    data = ledger_data(SIZE)
    assert data["label"] == ["baseline file", "zeros left out", "file header", "this file"]
    assert data["left"] == [0.0, 0.3, 0.3, 0.0]
    assert data["right"] == [1.0, 1.0, 0.4, 0.4]
    assert data["exact"][1] == "-700 bytes"
    for before, after in pairwise(range(3)):
        assert {data["left"][before], data["right"][before]} & {data["left"][after], data["right"][after]}


def test_a_bar_beyond_the_axis_says_how_high_it_is():
    values = torch.cat([torch.zeros(500), torch.linspace(-1, 1, 100)])
    found = histogram(values, bins=10)
    assert axis_top([found]) < 50
    assert overflow_data([found], axis_top([found]))["text"] == ["▲ 510"]


def test_thresholds_stand_on_both_sides_or_not_at_all():
    chart = weight_histogram(histogram(torch.randn(50)), threshold=0.4)
    assert (chart.cut.left, chart.cut.right, chart.clip.visible) == (-0.4, 0.4, False)
    chart.show(histogram(torch.randn(50)))
    assert not chart.cut.visible
    chart.mark(clip=(-1.0, 2.0))
    assert (chart.clip.left, chart.clip.right, chart.clip.visible) == (-1.0, 2.0, True)


def test_words_of_a_latency_stand_beyond_the_line_at_one():
    assert latency_data({"eager": latency(0.8, 0.7, 0.9, "slower")})["edge"] == [1.0]
    assert latency_data({"eager": latency()})["label"] == ["PyTorch (eager)"]


def test_a_spectrum_leaves_rounding_out():
    assert spectrum_data(singular_spectrum(torch.ones(4, 4)))["rank"] == [1]
    assert spectrum_data(singular_spectrum(torch.zeros(4, 4)))["rank"] == []


def test_a_long_training_is_averaged():
    data = training_data([(n / 1000, "loss", 1.0) for n in range(1000)], "loss")
    assert len(data["x"]) <= MOST
    assert set(data["y"]) == {1.0}


def test_the_trade_off_is_in_per_cent_and_kilobytes():
    data = trade_off_data([Candidate("a", score(0.9), 5000, "current", 3)])
    assert data["x"] == [5.0]
    assert data["y"] == [90.0]
    assert data["number"] == [3]


def test_the_front_is_what_nothing_beats_and_time_has_an_interval():
    found = [
        Candidate("a", score(0.9), 2.0), Candidate("worse and dearer", score(0.8), 3.0),
        Candidate("b", score(0.95), 4.0), Candidate("equal, dearer", score(0.95), 5.0), Candidate("c", score(0.5), 1.0),
    ]  # fmt: skip
    assert [row.title for row in pareto_front(found)] == ["c", "a", "b"]
    lower = [Candidate(row.title, replace(row.score, higher_is_better=False), row.cost) for row in found]
    assert [row.title for row in pareto_front(lower)] == ["c"]
    assert front_data(found, "MACs") == {"x": [1.0, 2.0, 4.0, 5.0], "y": [50.0, 90.0, 95.0, 95.0]}
    timed = trade_off_data([Candidate("a", score(0.9), 0.5, low=0.4, high=0.7)], "time")
    assert (timed["left"], timed["x"], timed["right"]) == ([0.4], [0.5], [0.7])
    assert timed["cost"] == ["0.50 of the baseline's [0.40, 0.70]"]


def test_bars_say_what_was_kept():
    data = bars_data([("a", 1000, 250), ("b", 0, 0), ("c", 10, None)])
    assert data["kept"] == ["25.0 %", "–", "100.0 %"]
    assert data["after_text"][0] == "250"


def test_long_names_keep_both_ends():
    short = shorten("encoder.layers.encoder_layer_11.self_attention.out_proj")
    assert len(short) == 30
    assert short.startswith("encoder")
    assert short.endswith("out_proj")
    assert shorten("") == "(model)"


def test_numbers_within_long_names_are_kept():
    names = [f"encoder.transformer_stages.{n}.feed_forward_projection" for n in range(3)]
    assert [str(n) in label for n, label in enumerate(axis_labels(names))] == [True] * 3
    assert not any("(" in label for label in axis_labels(names))


def test_labels_differ_where_short_names_do_not():
    names = [f"encoder.layer{'x' * 40}.{n}.{'y' * 30}" for n in range(3)]
    assert len(set(axis_labels(names))) == 3


@pytest.mark.parametrize(("largest", "unit"), [(10, "bytes"), (2000, "kB"), (3e6, "MB"), (4e9, "GB")])
def test_bytes_are_in_powers_of_ten(largest, unit):
    assert byte_unit(largest)[1] == unit
