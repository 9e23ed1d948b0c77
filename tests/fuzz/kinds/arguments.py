"""What people type after `workbench`: words of all kinds in any place. Nothing is loaded that has to be fetched."""

from __future__ import annotations

import contextlib
import io
import json
import random
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from tests.fuzz.kind import Kind
from tests.fuzz.values import NUMBERS, TEXTS
from workbench.cli import main as door
from workbench.cli.arguments import parser
from workbench.cli.commands import _step
from workbench.cli.subject import settings
from workbench.errors import WorkbenchError
from workbench.loading.data import read_task
from workbench.steps import KINDS
from workbench.steps.recipe import Recipe

NAMES = (
    "--measure", "--json", "--quiet", "--step", "--set", "--amounts", "--limit", "--tolerance", "--seconds", "--seed",
    "--batch", "--threads", "--size", "--mean", "--std", "--classes", "--metric", "--loss", "--name", "--formats",
    "--out", "--report", "--recipe", "--subject", "--validation", "--checkpoint", "--yes", "--older",
)  # fmt: skip
COMMANDS = ("inspect", "scan", "run", "steps", "clean", "nonsense")
VALUES = (
    *TEXTS, *(str(number) for number in NUMBERS if abs(number) < 1e30), "1e999", "-1", "0.5,0.7", "a=b",
    "amount=0.5", "amount=nan", "bits=1" + "0" * 30, "x.npz[:5]", "x.npz[9999999999999999999:]", "²", "٣", "on",
    "prune",
)  # fmt: skip


class Arguments(Kind):
    name: ClassVar[str] = "arguments"
    allowed: ClassVar[tuple[str, ...]] = ("import ",)

    def prepare(self, home: Path) -> None:
        self.home = home
        for seed in range(30):
            self.mutant(random.Random(seed), home / f"good{seed}")  # noqa: S311  # the same every time
            with contextlib.suppress(WorkbenchError):
                self.use(self.read(home / f"good{seed}"))

    def mutant(self, rng: random.Random, place: Path) -> str:
        command = rng.choice(COMMANDS)
        words = [command]
        if command in ("inspect", "scan"):
            words.append(rng.choice(("digits-resnet", *VALUES)))
        if command == "scan" and rng.random() < 0.9:
            words += ["--step", rng.choice(("prune", "quantize", *VALUES[:20]))]
        if command == "run":
            words += ["--subject", "digits-resnet", "--recipe", rng.choice(("none.json", *VALUES))]
        for _ in range(rng.randrange(4)):
            words.append(rng.choice(NAMES))
            if rng.random() < 0.8:
                words.append(rng.choice(VALUES))
        place.write_text(json.dumps(words))
        return " ".join(words)[:200]

    def read(self, place: Path) -> Any:
        """Understand the words, and all that is checked before a model is loaded."""
        words = json.loads(place.read_text())
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
                chosen = parser().parse_args(words)
        except SystemExit as ended:
            if ended.code not in (0, 2):
                raise AssertionError(f"ended with {ended.code}") from ended
            raise WorkbenchError("wrong usage") from None
        return self._understood(chosen)

    def _understood(self, chosen: Any) -> Any:
        if chosen.command in ("inspect", "scan", "run"):
            settings(chosen)
        if chosen.command == "scan":
            if chosen.step not in KINDS:  # which `scan` refuses first, as wrong usage
                raise WorkbenchError("wrong usage")
            _step(chosen.step, dict(chosen.set))
        if chosen.command == "run":
            Recipe.load(chosen.recipe)
        if getattr(chosen, "validation", None):
            read_task(validation=chosen.validation, size=min(chosen.size, 64), classes=chosen.classes,
                      mean=chosen.mean, std=chosen.std, metric=chosen.metric, loss=chosen.loss)  # fmt: skip
        return chosen

    def use(self, made: Any) -> None:
        assert made.command in COMMANDS
        module, function = made.work
        assert callable(getattr(import_module(f"workbench.cli.{module}"), function))
        assert door.DONE == 0
        assert KINDS
