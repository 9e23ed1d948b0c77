"""The one observable state that every view shows, and that runs as well without any."""

from workbench.session.session import Session, Settings

__all__ = ["Session", "Settings"]
