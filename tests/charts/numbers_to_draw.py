"""Numbers that the tests of charts draw."""

from workbench.measure import Latency, Score, Size
from workbench.measure.impact import ClassChange, Impact
from workbench.search.contest import Contest, Entry, Stop
from workbench.search.sensitivity import Point, Table

HOSTILE = "<img src=x onerror=alert(1)> $$x$$"
SIZE = Size(400, (("baseline file", 1000), ("zeros left out", -700), ("file header", 100)), {"a": 300})


def score(value=0.9, half=0.02, base=0.95, n=100, total=1000, higher=True):
    change = value - base
    return Score(
        value, value - half, value + half, n, total, change, change - half, change + half, higher_is_better=higher
    )


def latency(ratio=1.5, low=1.4, high=1.6, verdict="faster", runtime="eager"):
    return Latency(runtime, 1e-3, 1e-4, ratio, low, high, verdict, 1, 2, "cpu", 50, ratio * 1e-3)


def table(*points, targets=("first", HOSTILE), strengths=(0.5, 0.9)):
    return Table({"kind": "prune"}, score(0.95, 0.0, n=1000), targets, strengths, points)


def impact():
    """One class as it was, and a hostile one that broke."""
    classes = (
        ClassChange(0, "fine", 50, 0.9, 0.9, 0.0, -0.02, 0.02),
        ClassChange(1, HOSTILE, 50, 0.9, 0.7, -0.2, -0.3, -0.1, True),
    )
    return Impact("top-1 accuracy", "%", True, "validation", 100, 0.9, 0.8, classes, ())


def contest(*amounts):
    """Two criteria, one of them with a hostile title, and one that could not rank."""
    curves = [tuple(Stop(amount, score(0.95 - slope * amount)) for amount in amounts) for slope in (0.4, 0.1)]
    entries = (
        Entry("random", HOSTILE, 0.1, curves[0]),
        Entry("taylor", "Taylor", 0.2, curves[1]),
        Entry("deep_lift", "DeepLift", reason="not defined"),
    )
    agreement = ((1.0, None, None), (None, 1.0, None), (None, None, None))
    return Contest("channels", "local", (("conv1", 8),), amounts, score(0.95, 0.0, n=1000), entries, agreement)


POINTS = (
    Point("first", 0.5, score(0.94), 900, 90),
    Point("first", 0.9, score(0.55), 500, 50),
    Point(HOSTILE, 0.5, None, reason="tied to the output"),
)
