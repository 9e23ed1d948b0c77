"""A lesson's figure leaves its picture beside it, and nothing else that a page sends."""

from __future__ import annotations

from bokeh.plotting import figure

from widgets.lesson import kept_figure


def test_only_a_picture_is_kept(monkeypatch):
    told = []
    monkeypatch.setattr(kept_figure, "display", lambda shown, **_: told.append(shown))
    monkeypatch.setattr(kept_figure, "update_display", lambda shown, display_id: told.append(shown.data))
    made = kept_figure.KeptFigure(figure(), "a 'curve'")
    made.show()
    for wrong in (3, "http://elsewhere/x.png", "data:image/png;base64,'><script>", "data:image/svg+xml;base64,AAAA"):
        made.keep({"picture": wrong})
    assert len(told) == 2
    made.keep({"picture": "data:image/png;base64,iVBORw0KGgo="})
    assert told[2] == (
        "<div class='wbl-still'><img alt='a &#x27;curve&#x27;' src='data:image/png;base64,iVBORw0KGgo='></div>"
    )
