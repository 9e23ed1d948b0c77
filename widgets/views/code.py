"""The session so far as Python and as recipe JSON, to copy; and a recipe to load."""

from __future__ import annotations

import json
from threading import RLock

import anywidget
import ipywidgets as W
import traitlets

from widgets import highlight, theme
from widgets.figure import STATIC
from widgets.view import View
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.session.session import Session
from workbench.steps.recipe import Recipe


class Listing(anywidget.AnyWidget):
    """Text with a button that copies it."""

    _esm = STATIC / "listing.js"
    title = traitlets.Unicode().tag(sync=True)
    language = traitlets.Unicode()
    text = traitlets.Unicode()
    runs = traitlets.List(help="The text as [kind, text] pairs, for the page to colour.").tag(sync=True)

    @traitlets.observe("text")
    def _cut(self, _: object) -> None:
        self.runs = highlight.runs(self.text, self.language)


class Code(View):
    """What leads to the current state, as text; and the way back from text to a state."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.python, self.json = (
            Listing(title="Python", language="python"),
            Listing(title="Recipe (JSON)", language="json"),
        )
        self.pasted = W.Textarea(
            placeholder='Paste here: {"format": "workbench recipe", …}', rows=6, layout={"width": "auto"},
            description="recipe to load", style={"description_width": "auto"},
            tooltip="A recipe as JSON, as it stands above or in a file that was exported",
        )  # fmt: skip
        self.pasted.add_class("wb-recipe")
        self.load = W.Button(
            description="Load recipe", icon="upload", button_style="primary", layout={"width": "auto"},
            tooltip="Do all its steps on the untouched subject; states that were tried stay in the history",
        )  # fmt: skip
        self.message = W.HTML()
        self.load.on_click(self.act(self._load))
        self.root = W.VBox([self.python, self.json, self.pasted, W.HBox([self.load, self.message])])
        self.watch(self._show, "history")

    def _show(self) -> None:
        self.python.text = self.session.code()
        self.json.text = json.dumps(self.session.recipe.facts(), indent=2)

    def _load(self) -> None:
        try:
            recipe = _read(self.pasted.value)
        except WorkbenchError as error:
            self._say(str(error), "error")
            return
        seed = self.session.settings.seed
        reseeded = f", with seed {recipe.seed} instead of {seed} from now on" if recipe.seed != seed else ""
        self._say(f"a recipe of {len(recipe)} steps is being done{reseeded}", "note")
        self.session.start("Load the recipe", self.replay, recipe)

    def replay(self, recipe: Recipe, progress: Progress) -> None:
        """Do a recipe, and say at its place how it went."""
        try:
            self.session.replay(recipe, progress)
        except Exception as error:
            self._say(str(error), "error")
            raise
        self._say(f"loaded: state {self.session.history.at}", "done")

    def _say(self, text: str, kind: str) -> None:
        with self.lock:
            self.message.value = theme.note(text, kind)


def _read(text: str) -> Recipe:
    if not text.strip():
        raise WorkbenchError("there is nothing to load: paste a recipe above")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"this is no JSON: {error}") from error
    return Recipe.read(facts)
