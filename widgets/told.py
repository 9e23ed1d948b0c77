"""Widgets of which a page tells by messages, which never come later than the click that follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import anywidget
import traitlets


class Told(anywidget.AnyWidget):
    """A widget with one trait that people set; `tell.js` is how its page says so.

    Class attributes:
        told: The trait.
    """

    told: ClassVar[str]

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.on_msg(lambda _, message, __: self.receive(message))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {name of the trait: value}; what the trait does not take is nobody's."""
        try:
            self.set_trait(self.told, message[self.told])
        except (KeyError, traitlets.TraitError):
            return
