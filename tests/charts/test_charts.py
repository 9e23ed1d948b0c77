"""Every chart: it draws nothing, something, and something else, in one figure that BokehJS accepts."""

import json

import pytest
import torch
from bokeh.embed import json_item
from bokeh.models import HoverTool

from tests.charts.numbers_to_draw import HOSTILE, POINTS, SIZE, contest, impact, latency, score, table
from workbench import charts
from workbench.inspection import Activations, channel_spread, cosine_similarity, histogram, singular_spectrum
from workbench.search.planner import Mattered

WEIGHT = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
SEEN = Activations(HOSTILE, "calibration", 64, -1.0, 2.0, 0.1, 0.5, histogram(WEIGHT), 0.1, 0.0, (-1.0,), (2.0,))
CHARTS = {
    "weights": (charts.weight_histogram, (histogram(WEIGHT), histogram(WEIGHT / 2), (0.0, 0.5), 0.3), (None,)),
    "spread": (charts.spread_chart, (channel_spread(WEIGHT),), (None,)),
    "spectrum": (charts.spectrum_chart, (singular_spectrum(WEIGHT), singular_spectrum(WEIGHT * 2)), (None,)),
    "similarity": (charts.similarity_chart, (cosine_similarity(WEIGHT),), (None,)),
    "activations": (charts.activation_chart, ([SEEN],), ([],)),
    "sensitivity map": (charts.sensitivity_map, (table(*POINTS),), (None,)),
    "sensitivity curves": (charts.sensitivity_curves, (table(*POINTS),), (None,)),
    "contest curves": (charts.contest_curves, (contest(0.2, 0.5),), (None,)),
    "contest map": (charts.contest_map, (contest(0.2, 0.5),), (None,)),
    "knobs": (charts.knob_chart, ([Mattered(HOSTILE, 0.5, 0.3, 40), Mattered("size", -0.1, 0.3, 40)],), ([],)),
    "ledger": (charts.ledger_chart, (SIZE,), (None,)),
    "latency": (charts.latency_chart, ({"eager": latency(), HOSTILE: latency(runtime=HOSTILE)},), ({},)),
    "batches": (charts.batch_curve, ([latency(), latency()],), ([],)),
    "trade-off": (charts.trade_off_chart, ([charts.Candidate(HOSTILE, score(), 500)],), ([],)),
    "classes": (charts.class_chart, (impact(),), (None,)),
    "training": (charts.training_chart, ("loss", [(0.1, "loss", 2.0), (0.2, "score", 0.5)]), ([],)),
    "layers": (charts.layer_bars, ([(HOSTILE, 1000, 500), ("b", 10, None)],), ([],)),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_draws_and_is_fed_again(name):
    build, something, nothing = CHARTS[name]
    chart = build(*something)
    full = json.dumps(json_item(chart.figure))
    chart.show(*nothing)
    chart.show(*(something[1:] if name == "training" else something))
    assert len(json.dumps(json_item(chart.figure))) == pytest.approx(len(full), rel=0.02)
    assert json_item(build().figure)


@pytest.mark.parametrize("name", CHARTS)
def test_tooltips_leave_names_escaped(name):
    build, something, _ = CHARTS[name]
    tools = [tool for tool in build(*something).figure.tools if isinstance(tool, HoverTool)]
    assert len(tools) == 1
    assert isinstance(tools[0].tooltips, list)
    assert "safe" not in str(tools[0].tooltips)
    assert tools[0].renderers


@pytest.mark.parametrize("name", CHARTS)
def test_no_label_asks_for_a_typesetter(name):
    build, something, _ = CHARTS[name]
    factors = []
    figure = build(*something).figure
    for axis_range in (figure.x_range, figure.y_range):
        factors += list(getattr(axis_range, "factors", []))
    assert not any("$$" in factor for factor in factors)


@pytest.mark.parametrize("name", CHARTS)
def test_columns_of_a_source_are_of_one_length(name):
    build, something, _ = CHARTS[name]
    for renderer in build(*something).figure.renderers:
        assert len({len(column) for column in renderer.data_source.data.values()}) == 1
