"""Widgets whose page sends what people set as messages, which never come later than the click that follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import anywidget
import traitlets


class SendingWidget(anywidget.AnyWidget):
    """A widget with one trait that people set in its page, which sends it as a message by `tell.js`.

    Class attributes:
        sent: The trait.
    """

    sent: ClassVar[str]

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(lambda _, message, __: self.receive(message))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {name of the trait: value}; what the trait does not take is nobody's."""
        try:
            self.set_trait(self.sent, message[self.sent])
        except (KeyError, traitlets.TraitError):
            return
