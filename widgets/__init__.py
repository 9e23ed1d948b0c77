"""The panel: thin ipywidgets views over one session."""

from widgets.panel import Panel

__all__ = ["Panel"]
