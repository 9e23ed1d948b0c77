"""Recipes of others: JSON of steps."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, ClassVar

from tests.fuzz.kind import Kind
from tests.fuzz.values import TEXTS, anything, damaged, surgery, text_of
from workbench.steps import KINDS
from workbench.steps.recipe import Recipe


class Recipes(Kind):
    name: ClassVar[str] = "recipe"

    def prepare(self, home: Path) -> None:
        self.good = Recipe(tuple(kind() for kind in KINDS.values()), 3).facts()
        place = home / "good.json"
        place.write_text(json.dumps(self.good))
        self.use(self.read(place))

    def mutant(self, rng: random.Random, place: Path) -> str:
        facts = json.loads(json.dumps(self.good))
        facts["steps"] = rng.sample(facts["steps"], rng.choice((1, 1, 2, 3)))
        how = rng.randrange(5)
        done = f"how {how}"
        if how == 0:
            place.write_bytes(damaged(rng, json.dumps(facts).encode()))
            return "bytes"
        if how < 3:
            step = rng.choice(facts["steps"])
            key = rng.choice((*step, rng.choice(TEXTS)))
            step[key] = anything(rng)
            done = f"{step.get('kind')!r:.40} {key!r:.40}"
        else:
            done = surgery(rng, facts)
        place.write_text(text_of(facts), "utf-8", "surrogatepass")
        return done

    def read(self, place: Path) -> Any:
        return Recipe.load(place)

    def use(self, made: Any) -> None:
        """Whatever was read is shown, compared and written again."""
        assert Recipe.read(json.loads(json.dumps(made.facts(), allow_nan=False))) == made
        made.code().encode()
        assert made.key
