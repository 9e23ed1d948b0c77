"""Reports: one record, one template notebook, four kinds of files.

The cells of the template call the functions here on the record, so text, tables and charts share every number.
"""

from workbench.measure.record import pack, read, unpack
from workbench.report.charts_on_page import load_charts
from workbench.report.sections.headline import headline
from workbench.report.sections.layers import layers, weights
from workbench.report.sections.limits import limits, method
from workbench.report.sections.replay import replay
from workbench.report.sections.sensitivity import sensitivity
from workbench.report.sections.states import states
from workbench.report.sections.totals import bytes_went, speed, totals
from workbench.report.write import check_path, write_report

__all__ = [
    "bytes_went",
    "check_path",
    "headline",
    "layers",
    "limits",
    "load_charts",
    "method",
    "pack",
    "read",
    "replay",
    "sensitivity",
    "speed",
    "states",
    "totals",
    "unpack",
    "weights",
    "write_report",
]
