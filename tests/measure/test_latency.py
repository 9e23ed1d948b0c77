"""The verdict on paired times: noise is called noise, drift fools nobody, and a real gain is found."""

from statistics import median

import numpy as np
import pytest

from workbench.errors import Cancelled
from workbench.jobs.progress import Progress
from workbench.measure import compare
from workbench.measure.latency import summarize

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
def test_a_model_against_itself_is_within_noise(pairs, how):
    found = verdicts(pairs, pairs=pairs, **how)
    assert sum(one.verdict == "within noise" for one in found) >= 0.93 * RUNS
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
    assert found.ratio == median([4, 2, 4 / 3, 1])
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
    assert found.pairs == 15
    assert len(calls) == 2 * 15 + 6


def test_pairs_change_who_goes_first():
    order = []
    compare("eager", lambda _: order.append("b"), lambda _: order.append("a"), ([0],), seconds=0.0, least=4)
    assert "".join(order[6:]) == "ab" + "ba" + "ab" + "ba"


def test_measuring_stops_at_the_most_pairs_and_when_told():
    found = compare("eager", lambda _: None, lambda _: None, ([0],), seconds=60.0, least=2, most=20)
    assert found.pairs == 20
    with pytest.raises(Cancelled):
        compare("eager", lambda _: None, lambda _: None, ([0],), progress=Progress(None, lambda: True))


def test_equal_models_are_within_noise_though_neighbouring_pairs_are_alike():
    """Noise that lasts for some twenty pairs, of one model at a time, as when something else runs meanwhile."""
    calm = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = np.zeros((2, 240))
        mood = np.zeros(2)
        for number in range(240):
            mood = 0.95 * mood + 0.03 * rng.standard_normal(2)
            times[:, number] = 1e-3 * np.exp(mood + 0.02 * rng.standard_normal(2))
        calm += summarize("eager", list(times[0]), list(times[1]), 1).verdict == "within noise"
    assert calm >= 0.9 * 200
