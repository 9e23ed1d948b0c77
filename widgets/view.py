"""What a view is: widgets that show a session, and hold no truth of their own."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

import ipywidgets as W

from workbench.errors import WorkbenchError
from workbench.model.layers import Layer
from workbench.session.session import Session


class View:
    """A piece of the panel.

    Callbacks come on JupyterLab's subshell threads, previews and jobs on worker threads, all at the same time.
    So everything that writes to widgets runs under the one lock that all views of a panel share.

    Args:
        session: What is shown.
        lock: The panel's lock.
    """

    root: W.Widget

    def __init__(self, session: Session, lock: RLock) -> None:
        self.session, self.lock = session, lock
        self._watched: list[tuple[Callable[[Any], None], tuple[str, ...]]] = []
        # The thread that is painting; others' events at the same time are people's, and count.
        self._painter: int | None = None

    def watch(self, react: Callable[[], None], *traits: str) -> None:
        """Call `react` now, and again whenever one of the session's traits changes."""

        def changed(_: Any) -> None:
            with self.lock, self.quietly():
                self._guard(react)

        self._watched.append((changed, traits))
        self.session.observe(changed, list(traits))
        changed(None)

    def follow(self, do: Callable[[], None], *traits: str) -> None:
        """Call `do` whenever one of the session's traits changes, without the lock.

        For what asks something of the session: it may wait there for a thread that waits for the lock.
        `watch` is for what only writes to widgets.
        """

        def changed(_: Any) -> None:
            self._guard(do)

        self._watched.append((changed, traits))
        self.session.observe(changed, list(traits))

    def on_new_weights(self, do: Callable[[], None]) -> Callable[[], None]:
        """Return a handler of "staged" that calls `do` only when a preview has other weights than the last one had.

        Later stages of one preview bring other numbers, but the same weights.
        """
        seen: object = None

        def changed() -> None:
            nonlocal seen
            staged = self.session.staged
            key = staged and staged.weights_key
            if key != seen:
                seen = key
                do()

        return changed

    def chosen_layer(self) -> Layer:
        """Return the first chosen layer; with nothing chosen the largest, which says most about the model."""
        layers = self.session.layers
        chosen = [layer for layer in layers if layer.name in self.session.selection]
        return chosen[0] if chosen else max(layers, key=lambda layer: layer.params)

    def share_selection(self, widget: W.Widget) -> None:
        """Let the `selection` of a widget, names of layers, and the session's follow each other."""

        def choose() -> None:
            self.session.selection = tuple(widget.selection)

        def mark() -> None:
            widget.selection = list(self.session.selection)

        widget.observe(self.act(choose), "selection")
        self.watch(mark, "selection")

    def act(self, do: Callable[[], Any]) -> Callable[[Any], None]:
        """Return a handler for a control's event; what goes wrong in it is shown, and the panel stays usable."""

        def handle(_: Any = None) -> None:
            if self._painter != get_ident():
                self._guard(do)

        return handle

    def hear(self, do: Callable[[Any], Any]) -> Callable[[Any], None]:
        """Return a handler for a figure's event; as `act`, but `do` is given what the event carries."""

        def handle(event: Any) -> None:
            self._guard(lambda: do(event))

        return handle

    def _guard(self, do: Callable[[], Any]) -> None:
        try:
            do()
        except WorkbenchError as error:
            self.session.error = str(error)
        except Exception:  # a defect is shown in the error strip instead of vanishing in a thread
            self.session.error = traceback.format_exc()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Set controls without their handlers acting on it, which would be a loop."""
        before, self._painter = self._painter, get_ident()
        try:
            yield
        finally:
            self._painter = before

    def close(self) -> None:
        """Stop watching the session."""
        for changed, traits in self._watched:
            self.session.unobserve(changed, list(traits))
        self._watched.clear()
