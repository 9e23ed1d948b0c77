"""How to get the same model again."""

from __future__ import annotations

import json
from typing import Any

from workbench.load.embedded import NAMES
from workbench.report.blocks import Listing, Notes, Prose, Section, Sentence, Strong, Verbatim
from workbench.report.record import Record
from workbench.session import Settings


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
    lines = [
        "import workbench as wb",
        "",
        *_subject(record["subject"]),
        f"session = wb.Session(subject{_settings(record)})",
    ]
    lines += [f"session.apply({step['code']})" for step in record["steps"]]
    return "\n".join([*lines, 'session.report("report.html")', ""])


def _subject(facts: dict[str, Any]) -> list[str]:
    if not facts["source"]:
        return [
            "# model and task: those that the report was made on",
            f"subject = wb.Subject({facts['name']!r}, model, task)",
        ]
    if facts["source"] in NAMES:
        return [f"subject = wb.load({facts['source']!r})"]
    return ["# task: the data that the report was made on", f"subject = wb.load({facts['source']!r}, task=task)"]


def _settings(record: Record) -> str:
    default = Settings()
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in record["settings"].items()}
    changed = [f"{name}={value!r}" for name, value in given.items() if value != getattr(default, name)]
    return f", wb.Settings({', '.join(changed)})" if changed else ""
