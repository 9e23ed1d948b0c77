"""The search beside what people do without it: presets, random search, a sampler on full scores; same time, same net.

`pytest tests/benchmarks/test_search.py -s` takes an hour and a half; `--search-seconds 60 --search-seeds 1` is a look.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna
import pytest

import workbench as wb
from workbench.jobs.progress import Progress
from workbench.measure import Score
from workbench.search.presets import PRESETS
from workbench.search.trials import Outcome, Tolerance, TrialContext
from workbench.search.trials.trial import advance
from workbench.session.session import Session

LOSE, BITS, AMOUNTS = 0.5, (2, 3, 4, 6, 8), (0.0, 0.3, 0.5, 0.7, 0.9)
AXES = {"bits": BITS, "amount": AMOUNTS}
UNTRAINED = ("distill", "train_quantized", "prune_channels")
Knobs = dict[str, tuple[int, float]]


@dataclass
class Best:
    """The smallest that keeps the goal so far, and how many were looked at."""

    steps: tuple[wb.Step, ...] = ()
    bytes: int = 0
    count: int = 0

    def take(self, steps: tuple[wb.Step, ...], outcome: Outcome) -> float:
        """Take what came of steps, and return by how much more than allowed was lost."""
        self.count += 1
        excess = outcome.score.loss - LOSE / 100 if outcome.score else 1.0
        if excess <= 0 and (not self.bytes or outcome.bytes < self.bytes):
            self.steps, self.bytes = steps, outcome.bytes
        return excess


def steps_of(knobs: Knobs) -> tuple[wb.Step, ...]:
    """Return the steps of bits and an amount for each layer."""
    pruned = ", ".join(f"{name}={amount:.2f}" for name, (_, amount) in knobs.items() if amount)
    steps: list[wb.Step] = [wb.Prune(amount=0.0, by_layer=pruned)] if pruned else []
    by_bits = {bits: ", ".join(name for name, (own, _) in knobs.items() if own == bits) for bits in BITS}
    steps += [wb.Quantize(layers=names, bits=bits) for bits, names in by_bits.items() if names]
    return (*steps, wb.EntropyCode())


def at_random(names: list[str], seed: int) -> Iterator[tuple[Knobs, Callable[[float, float], None]]]:
    """Yield knobs by chance."""
    dice = random.Random(seed)  # noqa: S311  # nothing is kept secret by it
    while True:
        yield {name: (dice.choice(BITS), dice.choice(AMOUNTS)) for name in names}, lambda *_: None


def by_sampler(names: list[str], seed: int) -> Iterator[tuple[Knobs, Callable[[float, float], None]]]:
    """Yield the knobs of Optuna's sampler, told of exact scores; it begins with 8 bits everywhere."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({f"{what} {name}": v for name in names for what, v in (("bits", 8), ("amount", 0.0))})
    while True:
        trial = study.ask()
        knobs = {}
        for name in names:
            bits, amount = (trial.suggest_categorical(f"{what} {name}", of) for what, of in AXES.items())
            knobs[name] = bits, amount

        def tell(size: float, excess: float, trial: optuna.Trial = trial) -> None:
            trial.set_constraint("lose", excess)
            study.tell(trial, size)

        yield knobs, tell


def plainly(session: Session, context: TrialContext, ideas: Iterator, seconds: float) -> Best:
    """Return the best of ideas, each scored on every sample, for so long."""
    best, start = Best(), time.monotonic()
    while time.monotonic() - start < seconds:
        knobs, tell = next(ideas)
        outcome = advance(context, steps_of(knobs), None, Tolerance(0.0, 0.0))
        tell(float(outcome.bytes), best.take(steps_of(knobs), outcome))
    return best


def row(what: str, seed: int, session: Session, steps: tuple[wb.Step, ...], looked: int) -> dict[str, object]:
    """Return what is shown of a result: bytes, what it loses on validation and on test, with the interval there."""
    if not steps:
        return {"what": what, "seed": seed, "looked at": looked, "bytes": "nothing meets the goal", "times smaller": "",
                "loses, validation": "", "loses, test": "", "test interval": ""}  # fmt: skip
    session.reset()
    before = session.baseline.bytes.total
    measured = session.extend(steps)
    test: Score = session.test_score()
    low, high = test.population_low or 0.0, test.population_high or 0.0
    return {
        "what": what,
        "seed": seed,
        "looked at": looked,
        "bytes": measured.bytes.total,
        "times smaller": before / measured.bytes.total,
        "loses, validation": 100 * measured.score.loss,
        "loses, test": 100 * test.loss,
        "test interval": f"[{-100 * high:.2f}, {-100 * low:.2f}]",
    }


def test_search_beside_plain_ways(request: pytest.FixtureRequest, publish: Callable) -> None:
    """`digits-resnet`, at most half a point lost, the least bytes."""
    seconds = float(request.config.getoption("--search-seconds"))
    subject, rows = wb.load("digits-resnet"), []

    def add(found: dict[str, object]) -> None:
        """Keep a row, and print it: the whole takes long."""
        rows.append(found)
        print(found, flush=True)

    for seed in range(int(request.config.getoption("--search-seeds"))):
        settings = wb.Settings(seconds=0.05, seed=seed, runtimes=("eager",))
        session = wb.Session(subject, settings, threaded=False, autosave=None)
        goal = wb.Goal(lose=LOSE, least="bytes", seconds=seconds)
        if seed == 0:
            add(row("preset, 4 × smaller", seed, session, PRESETS["smaller"].recipe(subject).steps, 1))
            session.reset()
        names = [layer.name for layer in session.layers]
        context = session._trial_context(Progress())
        for title, ideas in (("random, full scores", at_random), ("Optuna, full scores", by_sampler)):
            best = plainly(session, context, ideas(names, seed), seconds)
            add(row(title, seed, session, best.steps, best.count))
            session.reset()
        for title, forbid in (("search, no training", UNTRAINED), ("search", ())):
            found = session.search(goal, forbid=forbid)
            steps = found.at(found.winner).steps if found.winner else ()
            add(row(title, seed, session, steps, len(found.candidates)))
            session.reset()
        session.close()
    publish(f"search, {seconds:g} s", rows)
