"""A session as the Python that does it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.loading.embedded import NAMES


def replay_script(name: str, source: str, settings: Mapping[str, Any], steps: Sequence[str]) -> str:
    """Return Python that loads the subject, opens a session and applies every step.

    Args:
        name: Of the subject.
        source: How `wb.load` finds it, "" for a live module.
        settings: Those that differ from the defaults.
        steps: Each as the Python that makes it, such as "wb.Prune(amount=0.7)".
    """
    arguments = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    lines = [
        "import workbench as wb",
        "",
        *_subject(name, source),
        f"session = wb.Session(subject{f', wb.Settings({arguments})' if arguments else ''})",
        *(f"session.apply({step})" for step in steps),
    ]
    return "\n".join([*lines, ""])


def _subject(name: str, source: str) -> list[str]:
    if not source:
        return ["# model and task: those of the session", f"subject = wb.Subject({name!r}, model, task)"]
    if source in NAMES:
        return [f"subject = wb.load({source!r})"]
    return ["# task: the data of the session", f"subject = wb.load({source!r}, task=task)"]
