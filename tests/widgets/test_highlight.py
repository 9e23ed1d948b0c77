"""Code in colours: every character stays, and none becomes markup."""

import pytest

from widgets import highlight

PYTHON = '# a < b\nsession = wb.load("<b>")\n\nsession.apply(wb.Prune(amount=0.5, layers=None))\n'
JSON = '{"amount": [1.5, true], "layers": "*"}'


@pytest.mark.parametrize(
    ("text", "language"), [(PYTHON, "python"), (JSON, "json"), ("", "python"), ("\n\n x", "python")]
)
def test_nothing_is_lost(text: str, language: str) -> None:
    assert "".join(part for _, part in highlight.runs(text, language)) == text


def test_kinds_are_told_apart() -> None:
    assert ["string", '"<b>"'] in highlight.runs(PYTHON, "python")
    assert ["keyword", "None"] in highlight.runs(PYTHON, "python")
    assert ["property", '"amount"'] in highlight.runs(JSON, "json")
    assert ["string", '"*"'] in highlight.runs(JSON, "json")


def test_markup_stays_text() -> None:
    assert "<b>" not in highlight.html(PYTHON, "python")
    assert "<span class='wb-code-number'>0.5</span>" in highlight.html(PYTHON, "python")
