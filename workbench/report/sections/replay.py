"""How to get the same model again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.measure.record import Record
from workbench.report.blocks import Listing, Notes, Prose, Section, Sentence, Strong, Verbatim
from workbench.steps.script import replay_script


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
    return replay_script(facts["name"], facts["source"], _settings(record), steps) + ('session.report("report.html")\n')


def _settings(record: Record) -> dict[str, Any]:
    """Return the settings that differ from the defaults; a record of version 1 does not tell these from the others."""
    settings: Mapping[str, Any] = record.get("changed_settings", record["settings"])
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
