"""How to get the same model again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.report.blocks import Listing, Notes, Prose, Section, Sentence, Strong, Verbatim
from workbench.report.record import Record
from workbench.session.script import replay_script
from workbench.session.session import Settings


def replay(record: Record) -> Section:
    """Return the steps, the Python that does them, and the recipe as JSON."""
    steps: list[Sentence] = [[Strong(step["title"]), f". {step['summary']}"] for step in record["steps"]]
    return Section(
        [
            *([Notes(steps)] if steps else []),
            Prose("The same recipe, seed and weights give the same model, bit for bit:"),
            Listing(replay_code(record)),
            Prose([
                "Or save the JSON below and run ", Verbatim('session.replay(wb.Recipe.load("recipe.json"))'), ". The "
                "weights are the same if ", Verbatim("session.subject.fingerprint"), " is ",
                Verbatim(record["subject"]["fingerprint"]), ".",
            ]),
            Listing(json.dumps(record["recipe"], indent=2), "json"),
        ]
    )  # fmt: skip


def replay_code(record: Record) -> str:
    """Return Python that loads the subject, applies every step, and writes the report."""
    facts, steps = record["subject"], [step["code"] for step in record["steps"]]
    return replay_script(facts["name"], facts["source"], _changed(record["settings"]), steps) + (
        'session.report("report.html")\n'
    )


def _changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    default = Settings()
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return {name: value for name, value in given.items() if value != getattr(default, name)}
