"""The verdict on paired times: noise is called noise, drift fools nobody, and a real gain is found."""

import time
from statistics import median

import numpy as np
import pytest

from workbench import formatting
from workbench.errors import Cancelled
from workbench.jobs.progress import Progress
from workbench.measure import compare, disturbance, pairs
from workbench.measure.disturbance import OthersUse, Run, Stopwatch
from workbench.measure.latency import summarize, verdict_of

RUNS = 400


def machine(rng, pairs, speedup=1.0, drift=0.0, spikes=0.0, steps=0.0):
    """Return paired times in seconds of two models on a machine whose speed wanders.

    Args:
        rng: Of all chance.
        pairs: How many.
        speedup: Baseline's time over the candidate's.
        drift: How much slower the machine gets over the run.
        spikes: Part of the times that something else disturbs.
        steps: Size of sudden changes of the machine's speed, which last for a while.
    """
    speed = 1 + drift * np.linspace(0, 1, 2 * pairs)
    if steps:
        speed *= np.repeat(1 + steps * rng.random(2 * pairs // 20 + 1), 20)[: 2 * pairs]
    noise = rng.lognormal(0.0, 0.06, 2 * pairs) * (1 + 3 * (rng.random(2 * pairs) < spikes))
    times = 1e-3 * speed * noise
    first, second = times[0::2], times[1::2]
    turn = np.arange(pairs) % 2 == 1  # who runs first changes with every pair
    before, after = np.where(turn, first, second), np.where(turn, second, first)
    return before.tolist(), (after / speedup).tolist()


def verdicts(seed, **how):
    rng = np.random.default_rng(seed)
    return [summarize("eager", *machine(rng, **how), batch=1) for _ in range(RUNS)]


@pytest.mark.parametrize("pairs", [15, 40, 150])
@pytest.mark.parametrize(
    "how", [{}, {"drift": 0.5}, {"spikes": 0.1}, {"steps": 0.5, "drift": -0.2, "spikes": 0.05}], ids=str
)
def test_a_model_against_itself_is_never_faster(pairs, how):
    found = verdicts(pairs, pairs=pairs, **how)
    assert sum(one.verdict in ("within noise", "unknown") for one in found) >= 0.93 * RUNS
    assert sum(one.verdict == "within noise" for one in found) >= (0.93 * RUNS if pairs > 100 else 0)
    assert sum(one.ratio_low <= 1 <= one.ratio_high for one in found) >= 0.93 * RUNS


@pytest.mark.parametrize(("speedup", "verdict"), [(1.1, "faster"), (1 / 1.1, "slower")])
def test_ten_per_cent_are_found_on_a_machine_that_drifts(speedup, verdict):
    found = verdicts(1, pairs=100, speedup=speedup, drift=0.5, spikes=0.05)
    assert sum(one.verdict == verdict for one in found) >= 0.97 * RUNS
    assert sum(one.ratio_low <= speedup <= one.ratio_high for one in found) >= 0.93 * RUNS
    assert median(one.ratio for one in found) == pytest.approx(speedup, rel=0.01)


def test_the_record_is_that_of_the_times():
    found = summarize("onnxruntime", [4.0, 4.0, 4.0, 4.0], [1.0, 2.0, 3.0, 4.0], batch=8)
    assert found.median == 2.5
    assert found.ratio == 4.0 / 2.5  # of the two pairs in the middle
    assert found.ratio_low <= found.ratio <= found.ratio_high
    assert (found.runtime, found.batch, found.pairs, found.device) == ("onnxruntime", 8, 4, "cpu")
    assert found.spread == pytest.approx(2.5)


def test_a_baseline_is_no_faster_than_itself(images):
    inputs = images.task.example(1)
    calls = []

    def forward(given):
        calls.append(given)
        return images.model(*given)

    found = compare("eager", forward, forward, inputs, seconds=0.0, least=15)
    assert (found.ratio, found.ratio_low, found.ratio_high, found.verdict) == (1.0, 1.0, 1.0, "baseline")
    assert found.pairs <= 15
    assert len(calls) == 2 * 15 + 6


def test_pairs_change_who_goes_first():
    order = []
    compare("eager", lambda _: order.append("b"), lambda _: order.append("a"), ([0],), seconds=0.0, least=4)
    assert "".join(order[6:]) == "ab" + "ba" + "ab" + "ba"


def test_measuring_stops_at_the_most_pairs_and_when_told():
    found = compare("eager", lambda _: None, lambda _: None, ([0],), seconds=60.0, least=2, most=20)
    assert found.pairs >= 20
    with pytest.raises(Cancelled):
        compare("eager", lambda _: None, lambda _: None, ([0],), progress=Progress(None, lambda: True))


def test_equal_models_are_no_faster_though_neighbouring_pairs_are_alike():
    """Noise that lasts for some twenty pairs, of one model at a time, as when something else runs meanwhile."""
    calm = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = np.zeros((2, 240))
        mood = np.zeros(2)
        for number in range(240):
            mood = 0.95 * mood + 0.03 * rng.standard_normal(2)
            times[:, number] = 1e-3 * np.exp(mood + 0.02 * rng.standard_normal(2))
        calm += summarize("eager", list(times[0]), list(times[1]), 1).verdict in ("within noise", "unknown")
    assert calm >= 0.9 * 200


def read(text):
    """Return the seconds of a time as it is shown."""
    value, unit = text.split()
    return float(value) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]


@pytest.mark.parametrize("seed", range(20))
def test_the_ratio_is_that_of_the_two_times(seed):
    before, after = machine(np.random.default_rng(seed), 60, speedup=2.0, drift=0.5, spikes=0.1, steps=0.5)
    found = summarize("eager", before, after, 1)
    assert found.ratio == found.baseline_median / found.median
    assert found.ratio_low <= found.ratio <= found.ratio_high
    old, new = (read(formatting.latency(value)) for value in (found.baseline_median, found.median))
    assert old / new == pytest.approx(
        float(formatting.verdict(found).split()[0]), rel=0.012
    )  # three digits of each of the three
    assert formatting.in_pairs(found).startswith(f"{formatting.latency(found.baseline_median)} → ")


def test_a_wide_interval_is_not_called_equal():
    before = [1.0, 1.6] * 20
    found = summarize("eager", before, before[1:] + before[:1], 1)
    assert found.ratio_low < 1 < found.ratio_high
    assert (found.verdict, found.reason) == ("unknown", "the times scatter too widely")
    assert formatting.verdict(found) == "unknown: the times scatter too widely"
    assert verdict_of(0.95, 1.05) == "within noise"
    assert verdict_of(0.5, 1.01) == verdict_of(1.01, 1.3) == "unknown"
    assert (verdict_of(1.05, 9.0), verdict_of(0.1, 0.9)) == ("faster", "slower")


class Crowd:
    """Other programs that use so many processors."""

    cores_used = 8.0

    def cores(self):
        return self.cores_used

    @property
    def quiet(self):
        return self.cores_used < 0.15


def watched(monkeypatch, runs, cores=8.0, watches=True):
    """Have `compare` see runs, (seconds, waited) by turns of candidate and baseline, beside a crowd."""
    given = iter(runs)

    class Watch:
        def __init__(self):
            self.watches = watches

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def time(self, work):
            work()
            return Run(*next(given))

    crowd = type("Crowd", (Crowd,), {"cores_used": cores})
    monkeypatch.setattr(pairs, "stopwatch_of", lambda _: Watch())
    monkeypatch.setattr(pairs, "OthersUse", crowd)
    monkeypatch.setattr(pairs, "REST", 0.0)
    return compare("eager", lambda _: None, lambda _: 0, ([0],), seconds=0.0, least=30, most=30)


def runs(disturbed, pairs=30):
    """Return runs of a candidate that is twice as fast, and baselines that wait 20 ms in so many of the first pairs."""
    found = []
    for number in range(pairs):
        baseline = (22e-3, 20e-3) if number < disturbed else (2e-3, 0.0)
        pair = [(1e-3, 0.0), baseline]
        found += pair if number % 2 == 0 else pair[::-1]
    return found


def test_pairs_that_waited_for_a_processor_do_not_count(monkeypatch):
    found = watched(monkeypatch, runs(20))
    assert (found.verdict, found.ratio, found.pairs, found.disturbed) == ("faster", 2.0, 10, 20)
    assert (found.baseline_median, found.median) == (2e-3, 1e-3)


def test_with_nearly_all_pairs_disturbed_nothing_is_known(monkeypatch):
    found = watched(monkeypatch, runs(25))
    assert (found.verdict, found.busy, found.disturbed) == ("unknown", True, 25)
    assert formatting.verdict(found) == "unknown: the machine is busy, 25 of 30 pairs were disturbed"


def test_on_a_quiet_machine_a_run_waits_for_its_own_threads_only(monkeypatch):
    found = watched(monkeypatch, runs(4), cores=0.05)
    assert (found.verdict, found.pairs, found.disturbed) == ("faster", 30, 0)


def test_where_runs_cannot_be_watched_a_crowd_makes_all_unknown(monkeypatch):
    found = watched(monkeypatch, runs(0), watches=False)
    assert (found.verdict, found.reason) == ("unknown", "the machine is busy with other programs")
    assert watched(monkeypatch, runs(0), cores=0.2, watches=False).verdict == "faster"


def test_waiting_is_seen_by_the_clock_of_the_thread():
    with Stopwatch() as stopwatch:
        calm = stopwatch.time(lambda: sum(range(20_000)))
        # Asleep is not ready: what a run waits for of its own will does not disturb it.
        asleep = stopwatch.time(lambda: time.sleep(0.01))
    assert calm.seconds > 0
    assert calm.waited <= calm.seconds
    assert asleep.seconds >= 0.009
    assert Run(1.0, 0.5).disturbed
    assert not Run(1.0, 0.01).disturbed
    assert not Run(1e-5, 5e-6).disturbed


def test_without_a_folder_of_tasks_switches_are_counted(monkeypatch):
    monkeypatch.setattr(disturbance, "TASKS", "/nowhere")
    switches = iter([3, 3, 3, 4])
    monkeypatch.setattr(disturbance, "_involuntary", lambda: next(switches))
    with Stopwatch() as stopwatch:
        assert stopwatch.watches
        assert stopwatch.time(lambda: time.sleep(0.005)).waited == 0.0
        assert stopwatch.time(lambda: time.sleep(0.005)).disturbed
    monkeypatch.setattr(disturbance, "_involuntary", None)
    with Stopwatch() as stopwatch:
        assert not stopwatch.watches
        assert stopwatch.time(lambda: time.sleep(0.005)).waited == 0.0


def test_what_others_use_is_no_part_of_what_this_process_does():
    others = OthersUse()
    assert others.cores() >= 0
