"""What the command line says of a subject and of measuring it, as `load` and `Session` take it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from workbench.session.settings import Settings

FIELDS = (
    "checkpoint", "pretrained", "validation", "train", "test", "classes", "mean", "std", "size", "metric", "loss",
    "output", "class_dim", "ignored", "columns", "name",
)  # fmt: skip


def fields(chosen: Namespace) -> dict[str, Any]:
    """Return the keywords of `load`; what was not said is left to its defaults."""
    return {name: value for name in FIELDS if (value := getattr(chosen, name)) is not None}


def settings(chosen: Namespace) -> Settings:
    """Return how a session on the subject measures."""
    named = {"runtimes": chosen.runtimes} if chosen.runtimes else {}
    return Settings(
        **named,
        tolerance=chosen.tolerance or 0.0,
        seconds=chosen.seconds,
        batch=chosen.batch,
        seed=chosen.seed or 0,
        device=chosen.device,
    )
