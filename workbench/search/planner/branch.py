"""A branch: one base, which may be trained, and what is tried on top of it.

Its work comes in an order: the base is built; parts are scanned; between the cheapest proposal and none, the cheapest
that meets the goal is found by halving; then the sampler moves budget, weights of sections and axes. What is a little
beyond the goal is then trained on its grid, or done in a dearer way.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.search.planner.candidate import Candidate, Origin
from workbench.search.planner.parts import Choice, Parts, sections_of, worthwhile
from workbench.search.planner.space import Space, strengths_of
from workbench.search.planner.study import Asked, Journal, Knob, Sampler
from workbench.steps import KINDS, Context, Stage, State, Step
from workbench.steps.recipe import step_code

HALVINGS = 7
NARROW = 0.01  # of the budget's range: what is nearer is the same proposal
CHUNK = 4  # choices of parts that are scanned in one piece of work
SMALL = 0.02  # of all parameters: of smaller parts only ways to store them are looked at
SPREAD = 2.0  # sections count between a quarter and four times as much
SAMPLED = 10  # proposals of the sampler before what takes longer
FAR, NEAR = 0.5, 0.2  # of the way to the cheapest proposal, from what meets the goal as it is
REFINEMENTS = 4
LONGEST = 0.3  # of the time that is left: what takes longer is not begun
# Parts of the best known cost: what only equals it is not worth a look, and the sampler goes so much below it.
BELOW, DEEPEST = 0.002, 0.12
DEPTH, WEIGHT = "how far below the best", "weight of "


@dataclass(frozen=True)
class Idea:
    """Steps on a base that are to be judged.

    Attributes:
        steps: On top of the base.
        origin: Where they come from.
        expected: What damages add up to.
        asked: The sampler's record, None if it did not propose them.
        size: The budget of the proposal, 0 to 1; None if it has none.
        strengths: Part to kind to strength, where it was proposed from a scan.
        knobs: What it was proposed by.
    """

    steps: tuple[Step, ...]
    origin: Origin
    expected: float | None = None
    asked: Asked | None = None
    size: float | None = None
    strengths: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    knobs: Mapping[str, float | str] = field(default_factory=dict)


class Branch:
    """What is known of one base.

    Args:
        name: Of the base.
        base: Its steps on the state that the search began at; () for that state.
        knobs: What the base was made of.
        asked: The record of the sampler that proposed it, None for the first.
    """

    def __init__(
        self, name: str, base: tuple[Step, ...], knobs: Mapping[str, float | str] | None = None,
        asked: Asked | None = None,
    ) -> None:  # fmt: skip
        self.name, self.base, self.knobs, self.asked = name, base, dict(knobs or {}), asked
        self.state: State | None = None
        self.parts: Parts | None = None
        self.sampler: Sampler | None = None
        self.spent = self.slice = 0.0
        self.candidates: list[tuple[Idea, Candidate]] = []
        self._rows: dict[str, list[tuple[Mapping[str, float], tuple[Step, ...]]]] = {}
        self._found: dict[str, list[Choice]] = {}
        self._whole = 0.0
        self._unscanned: list[tuple[str, int]] = []
        self._scanning = self._refining = self._refined = 0
        self._form_seconds, self._exhausted = 0.0, False
        self._refined_low, self._refined_high = 0.0, 1.0
        self._low, self._high, self._sizes = 0.0, 1.0, set[float]()
        self._extra: list[Idea] = []
        self._tried: set[str] = set()

    def begin(self, state: State, whole: float, space: Space, context: Context, extra: Sequence[Idea]) -> None:
        """Take the built base with its cost, and ideas that need no scan."""
        self.state, self._whole, self._extra = state, whole, list(extra)
        rows = space.part_trials(state, context, self.base)
        sizes = {layer.name: layer.params for layer in context.layers(state.model)}
        self._rows = {name: own for name, own in rows.items() if own}
        least = SMALL * sum(sizes.values())
        places = [
            (name, number)
            for name, own in self._rows.items()
            for number, (strengths, _) in enumerate(own)
            if sizes.get(name, 0) >= least or is_stored(strengths)
        ]

        # Time may be short: ways to store come first, then single methods, then what goes together; large parts lead.
        def turn(place: tuple[str, int]) -> tuple[int, int, int, int]:
            strengths, _ = self._rows[place[0]][place[1]]
            return len(strengths), not is_stored(strengths), -sizes.get(place[0], 0), place[1]

        self._unscanned = sorted(places, key=turn, reverse=True)

    def scan(self) -> list[tuple[str, int]]:
        """Return the next choices that are to be scanned, [] if there are none."""
        taken = [self._unscanned.pop() for _ in range(min(CHUNK, len(self._unscanned)))]
        self._scanning += bool(taken)
        return taken

    def trials(self, places: Sequence[tuple[str, int]]) -> list[tuple[Step, ...]]:
        """Return the steps of choices."""
        return [self._rows[name][number][1] for name, number in places]

    def scanned(self, places: Sequence[tuple[str, int]], found: Sequence[tuple[float, float]]) -> None:
        """Take the (damage, cost) of choices."""
        self._scanning -= 1
        for (name, number), (damage, cost) in zip(places, found, strict=False):
            self._found.setdefault(name, []).append(Choice(self._rows[name][number][0], damage, cost - self._whole))

    @property
    def scanning(self) -> bool:
        """Whether something of the scan is under way."""
        return self._scanning > 0

    def finish_scan(self, journal: Journal, study: str, objectives: int, seed: int) -> None:
        """Make proposals possible of what was scanned so far, and begin the sampler."""
        self._unscanned = []
        stay = Choice({}, 0.0, 0.0)
        choices = {name: worthwhile([stay, *found]) for name, found in self._found.items()}
        choices = {name: kept for name, kept in choices.items() if len(kept) > 1}
        if not choices:
            return
        self.parts = Parts(choices, self._whole, sections_of(list(choices)))
        knobs: dict[str, Knob] = {DEPTH: (0.0, 1.0)}
        knobs |= {f"{WEIGHT}{name}": (-SPREAD, SPREAD) for name in dict.fromkeys(self.parts.sections.values())}
        self.sampler = journal.sampler(study, knobs, objectives, seed)

    @property
    def halving(self) -> bool:
        """Whether the budget is still being halved."""
        return len(self._sizes) < HALVINGS and self._high - self._low > NARROW

    def ready(self) -> Idea | None:
        """Return the next idea that needs no scan, None if there is none left."""
        return self._extra.pop(0) if self._extra else None

    def idea(self, space: Space, best: float) -> Idea | None:
        """Return what is to be judged next, None if nothing is left to try.

        Args:
            space: What may be done.
            best: The least cost of what meets the goal so far; proposals are to cost less.
        """
        if self.parts is None or self.sampler is None or self.parts.least >= best:
            return None
        reach = self.parts.whole - self.parts.least
        self._high = min(self._high, (best - self.parts.least) / reach)
        self._low = min(self._low, self._high)
        for _ in range(20):  # a proposal that was tried already says nothing new
            limit, size = min(best, self.parts.whole), None
            if self.halving:
                size = self._halved()
                limit = min(self.parts.least + size * reach, limit)
                asked = self.sampler.ask({DEPTH: 0.0, **dict.fromkeys(self._weights(), 0.0)})
                origin: Origin = "knapsack"
            else:
                asked, origin = self.sampler.ask(), "sampler"
            below = BELOW + (DEEPEST - BELOW) * float(asked.knobs[DEPTH])
            idea = self._proposal(space, asked.knobs, min(limit, best * (1 - below)))
            idea = replace(idea, origin=origin, asked=asked, size=size)
            if self._is_new(idea.steps):
                return idea
            self.sampler.tell(asked, None, 0.0)
        self._exhausted = True
        return None

    def _is_new(self, steps: Sequence[Step]) -> bool:
        """Return whether steps were not tried here before, and remember them."""
        key = ", ".join(map(step_code, steps))
        new = key not in self._tried
        self._tried.add(key)
        return new

    def _weights(self) -> list[str]:
        return [] if self.parts is None else [f"{WEIGHT}{n}" for n in dict.fromkeys(self.parts.sections.values())]

    def _halved(self) -> float:
        """Return the middle of the widest gap between what is too small, what is under way, and what is enough."""
        marks = sorted({self._low, self._high, *(s for s in self._sizes if self._low < s < self._high)})
        low, high = max(itertools.pairwise(marks), key=lambda pair: pair[1] - pair[0])
        size = (low + high) / 2
        self._sizes.add(size)
        return size

    def _proposal(self, space: Space, knobs: Mapping[str, float | str], limit: float) -> Idea:
        """Return what is best within a budget, where knobs say how much damages of sections count, as powers of two."""
        assert self.parts is not None  # noqa: S101  # there is a sampler only then
        weights = {name.removeprefix(WEIGHT): 2.0 ** float(knobs.get(name, 0.0)) for name in self._weights()}
        choices = self.parts.within(limit, weights)
        strengths, damage = strengths_of(choices), sum(choice.damage for choice in choices.values())
        return Idea(space.tail(strengths, {}), "knapsack", damage, None, None, strengths, dict(knobs))

    def judged(self, idea: Idea, candidate: Candidate, excess: float | None, objectives: Sequence[str]) -> None:
        """Take what is known of an idea.

        Args:
            idea: What was judged.
            candidate: What came of it.
            excess: How much more than allowed was lost, None where it is not known.
            objectives: The quantities that are to be small.
        """
        self.candidates.append((idea, candidate))
        if idea.origin in ("trained", "polished"):
            self._refining -= 1
            self._form_seconds = candidate.seconds
            if candidate.verdict == "meets" and idea.size is not None:
                self._refined_high = min(self._refined_high, idea.size)
            elif candidate.verdict == "fails" and idea.size is not None:
                self._refined_low = max(self._refined_low, idea.size)
        elif idea.size is not None:
            if candidate.verdict in ("meets", "dominated"):  # what costs no less than another need not be looked at
                self._high = min(self._high, idea.size)
            elif candidate.verdict == "fails" and idea.origin == "knapsack":
                self._low = max(self._low, idea.size)
        if idea.asked is None or self.sampler is None:
            return
        values = [candidate.costs[name] for name in objectives if name in candidate.costs]
        known = len(values) == len(objectives) and candidate.verdict not in ("impossible", "lost")
        allowed = 0.0 if excess is None else excess
        self.sampler.tell(idea.asked, values if known else None, allowed, candidate.facts())

    @property
    def sampled(self) -> bool:
        """Whether the sampler had its turn, so that what takes longer may begin."""
        count = sum(idea.origin == "sampler" for idea, _ in self.candidates)
        return not self.halving and (self._exhausted or count >= SAMPLED)

    def refinement(self, space: Space, best: float, left: float, epochs: int) -> Idea | None:
        """Return something beyond the goal in a form that loses less, None if there is none or no time for it.

        How far beyond is found by halving too: training on the grid wins much back, a dearer setting less.

        Args:
            space: What may be done.
            best: The least cost of what meets the goal so far.
            left: Seconds; what takes more than a part of them is left.
            epochs: Of training on the grid.
        """
        if self.parts is None or self._refining or self._refined >= REFINEMENTS or self._form_seconds > LONGEST * left:
            return None
        self._refined_high = min(self._refined_high, self._high)
        reach = self._refined_high - self._refined_low
        if reach < 2 * NARROW or self.parts.least >= best:
            return None
        size = self._refined_high - (FAR if space.refinement is not None else NEAR) * reach
        met = [idea.knobs for idea, one in self.candidates if one.verdict == "meets" and idea.knobs]
        limit = self.parts.least + size * (self.parts.whole - self.parts.least)
        idea = replace(self._proposal(space, met[-1] if met else {}, min(limit, best * (1 - BELOW))), size=size)
        for form in forms_of(idea, space, epochs):
            if self._is_new(form.steps):
                self._refined += 1
                self._refining += 1
                return form
        return None


def is_stored(strengths: Mapping[str, float]) -> bool:
    """Return whether strengths say nothing but how values are stored."""
    return all(KINDS[kind].stage == Stage.QUANTIZE for kind in strengths)


def forms_of(idea: Idea, space: Space, epochs: int) -> list[Idea]:
    """Return forms of an idea that lose less: trained on its grid, or without training in dearer settings."""
    if space.refinement is not None:
        return [replace(idea, steps=space.refined(idea.steps, epochs), origin="trained")]
    return [replace(idea, steps=space.tail(idea.strengths, axes), origin="polished") for axes in space.alternatives()]
