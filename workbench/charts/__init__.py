"""Bokeh figures: built once, then fed. They know numbers, and neither a session nor a widget.

Each chart is a frozen value with its `figure`, its sources, and `show(...)`, which draws other numbers into the
same figure. The columns come from pure functions, `..._data(...)`, beside each chart.
"""

from workbench.charts.activation_ranges import ActivationChart, activation_chart
from workbench.charts.bars import LayerBars, layer_bars
from workbench.charts.batches import BatchCurve, batch_curve
from workbench.charts.channel_spread import SpreadChart, spread_chart
from workbench.charts.class_changes import ClassChart, class_chart
from workbench.charts.contest_correlations import ContestMap, contest_map
from workbench.charts.contest_scores import ContestCurves, contest_curves
from workbench.charts.curves import SensitivityCurves, sensitivity_curves
from workbench.charts.heat_map import SensitivityMap, sensitivity_map
from workbench.charts.histogram import WeightHistogram, weight_histogram
from workbench.charts.knobs import KnobChart, knob_chart
from workbench.charts.latency import LatencyChart, latency_chart
from workbench.charts.ledger import LedgerChart, ledger_chart
from workbench.charts.similarity import SimilarityChart, similarity_chart
from workbench.charts.spectrum import SpectrumChart, spectrum_chart
from workbench.charts.trade_off import Candidate, TradeOffChart, trade_off_chart
from workbench.charts.training import TrainingChart, training_chart
from workbench.charts.weight_chart import WEIGHT_CHARTS, DrawnChart, WeightChart, drawn_charts

__all__ = [
    "WEIGHT_CHARTS",
    "ActivationChart",
    "BatchCurve",
    "Candidate",
    "ClassChart",
    "ContestCurves",
    "ContestMap",
    "DrawnChart",
    "KnobChart",
    "LatencyChart",
    "LayerBars",
    "LedgerChart",
    "SensitivityCurves",
    "SensitivityMap",
    "SimilarityChart",
    "SpectrumChart",
    "SpreadChart",
    "TradeOffChart",
    "TrainingChart",
    "WeightChart",
    "WeightHistogram",
    "activation_chart",
    "batch_curve",
    "class_chart",
    "contest_curves",
    "contest_map",
    "drawn_charts",
    "knob_chart",
    "latency_chart",
    "layer_bars",
    "ledger_chart",
    "sensitivity_curves",
    "sensitivity_map",
    "similarity_chart",
    "spectrum_chart",
    "spread_chart",
    "trade_off_chart",
    "training_chart",
    "weight_histogram",
]
