"""Session files of others: a history, and what was measured."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, ClassVar

from tests.fuzz.kind import Kind
from tests.fuzz.values import anything, damaged, places, surgery, text_of
from workbench import formatting
from workbench.session.saved import SavedSession

FILE = Path(__file__).parents[2] / "session" / "files" / "session-first-version.json"


class Sessions(Kind):
    name: ClassVar[str] = "session"

    def prepare(self, home: Path) -> None:
        self.good = {"format": "workbench session", "version": 2, **json.loads(FILE.read_text())}
        (home / "good").write_text(json.dumps(self.good))
        self.use(self.read(home / "good"))

    def mutant(self, rng: random.Random, place: Path) -> str:
        facts = json.loads(json.dumps(self.good))
        how = rng.randrange(5)
        if how == 0:
            place.write_bytes(damaged(rng, json.dumps(facts).encode()))
            return "bytes"
        if how == 1:
            done = surgery(rng, facts)
        elif how == 2:
            done = surgery(rng, facts["history"])
        else:
            part, key = rng.choice(places(facts))
            part[key] = anything(rng)
            done = f"value at {key!r:.40}"
        place.write_text(text_of(facts), "utf-8", "surrogatepass")
        return done

    def read(self, place: Path) -> Any:
        return SavedSession.load(place, 0, "")

    def use(self, made: Any) -> None:
        """What views ask of it."""
        json.dumps(made.history.facts(), allow_nan=False)
        for node in made.history.nodes:
            assert made.history.recipe(made.seed, node.number).key
        assert made.history.go(made.history.at).branch
        assert made.history.ahead is not None
        for found in made.measurements.values():
            for _, _, text in formatting.rows(found):
                text.encode()
            formatting.score(found.score)
            formatting.change(found.score)
            for latency in found.latency.values():
                formatting.in_pairs(latency)
