"""The one observable state that every view shows, and that runs as well without any."""

from workbench.session.session import Session
from workbench.session.settings import Settings

__all__ = ["Session", "Settings"]
