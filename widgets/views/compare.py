"""Two or more states side by side: numbers, layers, steps, and who pays in each."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from threading import RLock

import ipywidgets as W

from widgets.data_table import DataTable
from widgets.view import View
from workbench.jobs.progress import Progress
from workbench.session import comparing
from workbench.session.comparing import Row
from workbench.session.session import Session

SIGNS = {"-": ("wb-gone", "−"), "+": ("wb-new", "+"), " ": ("", " ")}
LAYERS = "The layers that differ: what is not zero, bits of a weight, bytes; sizes where they are not the same."
INVITATION = "Tick two or more states in the line of states below, and they stand here side by side."


class Compare(View):
    """Shows what is known at once; layers and samples when asked to, for states may have to be built for that."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.numbers, self.steps = DataTable("numbers of states"), W.HTML()
        self.layers, self.flips, self.classes = (
            DataTable("layers of states"), DataTable("samples of states"), DataTable("classes of states"),
        )  # fmt: skip
        self.look = W.Button(
            description="Compare layers and samples", icon="columns", button_style="primary", layout={"width": "auto"},
            tooltip="What each state keeps of each layer, which classes pay in it, and which samples flip",
        )  # fmt: skip
        self.look.on_click(self.act(lambda: session.start("Compare states", self.inspect, session.compared)))
        self.root = W.VBox([self.numbers, self.steps, self.look, self.layers, self.flips, self.classes])
        self.watch(self._show, "compared", "measurements", "labels")

    def _show(self) -> None:
        history, measurements = self.session.measured_states()
        chosen = [number for number in self.session.compared if number in measurements]
        self.look.layout.display = "" if len(chosen) > 1 else "none"
        for table in (self.layers, self.flips, self.classes):
            table.show((), ())
        if len(chosen) < 2:
            self.numbers.show((), (), hint=INVITATION)
            self.steps.value = ""
            return
        rows = comparing.number_rows([measurements[number] for number in chosen])
        _fill(self.numbers, "quantity", [self._name(number) for number in chosen], rows)
        seed = self.session.settings.seed
        first = history.recipe(seed, chosen[0])
        parts = [
            _steps(first.differences(history.recipe(seed, other)), self._name(chosen[0]), self._name(other))
            for other in chosen[1:]
        ]
        self.steps.value = f"<div class='wb-diffs'>{''.join(parts)}</div>"

    def inspect(self, numbers: Sequence[int], progress: Progress) -> None:
        """Compare layers and samples of states; each is built if it is not at hand."""
        session = self.session
        share = 1.0 / max(len(numbers), 1)
        states, impacts = [], {}
        for place, number in enumerate(numbers):
            part = progress.part(place * share, (place + 1) * share, f"state {number}")
            state = session.state_of(number, part.part(0.0, 0.3))
            states.append((state, session.layers_of(state), session.measurements[number].bytes))
            impacts[number] = session.impact(progress=part.part(0.3, 1.0), number=number)
        names = [self._name(number) for number in numbers]
        layers, classes = comparing.layer_rows(states), comparing.class_rows(list(impacts.values()))
        flips = comparing.flip_rows(impacts)
        with self.lock:
            if tuple(numbers) == session.compared:
                _fill(self.layers, "layer", names, layers, LAYERS if layers else "No layer differs.")
                _fill(self.flips, "validation samples", names, flips)
                _fill(self.classes, "change of the score by class", names, classes)

    def _name(self, number: int) -> str:
        label = self.session.labels.get(number)
        own = f": {label.name}" if label is not None and label.name else ""
        return f"state {number}{own}" if number else "untouched"


def _fill(table: DataTable, what: str, heads: Sequence[str], rows: Sequence[Row], hint: str = "") -> None:
    """Show a comparison; what differs stands out."""
    differs = [row.differs for row in rows]
    # Where every row does, none would stand out.
    table.show([what, *heads], [[row.what, *row.values] for row in rows], [] if all(differs) else differs, hint)


def _steps(steps: tuple[tuple[str, str], ...], first: str, second: str) -> str:
    """Return the difference of two recipes, in colour and with signs."""
    lines = "".join(
        f"<div class='{SIGNS[sign][0]}'>{SIGNS[sign][1]} {escape(code.removeprefix('wb.'))}</div>"
        for sign, code in steps
    )
    hint = f"Steps: − only in {escape(first)}, + only in {escape(second)}."
    return f"<div><p class='wb-hint'>{hint}</p><div class='wb-diff'>{lines}</div></div>"
