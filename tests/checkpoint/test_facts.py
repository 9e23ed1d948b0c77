"""Fields of JSON from anybody: of their type, in their range, or one error of one line."""

from __future__ import annotations

import json

import pytest

from workbench.checkpoint.facts import Facts, plain, read_json
from workbench.errors import WorkbenchError

FIELDS = {"flag": True, "text": "a", "whole": 3, "number": 0.5, "list": [1], "texts": ["a"], "object": {"b": 1}}
DEEP: object = []
for _ in range(5000):
    DEEP = [DEEP]
TROUBLE = [None, 1.5, 2**64, -(2**70), 10**400, float("nan"), float("inf"), "x" * 200_000, "\ud800", DEEP, {"a": DEEP}]


@pytest.mark.parametrize("value", [*TROUBLE, True, "a\nb", [1, "a"]], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("kind", ["flag", "text", "whole", "number", "list", "texts", "within"])
def test_another_type_is_one_line(kind, value):
    read = getattr(Facts({"it": value}, "the thing"), kind)
    made, refused = None, None
    try:
        made = read("it")
    except WorkbenchError as error:
        refused = str(error)
    kinds = {"flag": bool, "text": str, "whole": int, "number": float, "list": list, "texts": tuple}
    if refused is None:
        assert isinstance(made, kinds.get(kind, Facts))
    else:
        assert len(refused.splitlines()) == 1
        assert len(refused) < 300
        assert "it" in refused


def test_fields_are_read_and_missing_ones_named():
    of = Facts(FIELDS, "the thing")
    assert (of.flag("flag"), of.text("text"), of.whole("whole"), of.number("number")) == (True, "a", 3, 0.5)
    assert (of.list("list"), of.texts("texts"), list(of.within("object").items())) == ([1], ("a",), [("b", 1)])
    assert (of.whole("other", default=7), of.number_or_none("other")) == (7, None)
    assert of.number("whole", endless=True) == 3.0
    assert Facts({"it": float("inf")}, "the thing").number("it", endless=True) == float("inf")
    for wrong, match in (("gone", "the thing has no gone"), ("text", "text must be a whole number from 0")):
        with pytest.raises(WorkbenchError, match=match):
            of.whole(wrong)
    with pytest.raises(WorkbenchError, match=r"at least 1, not 0\.5"):
        of.number("number", 1)
    with pytest.raises(WorkbenchError, match="must be a JSON object, not a list"):
        Facts([], "the thing")


@pytest.mark.parametrize("value", [*TROUBLE, [1]], ids=lambda value: type(value).__name__)
def test_what_is_no_plain_value_is_refused(value):
    if value == 1.5:
        assert plain(value, "it") == 1.5
        return
    with pytest.raises(WorkbenchError, match=r"^it[: ]"):
        plain(value, "it")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", "1" * 10_000, "{} x"])
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(WorkbenchError, match=r"x\.json cannot be read"):
        read_json(path)


def test_files_that_are_none_or_too_large_are_refused(tmp_path):
    (tmp_path / "large.json").write_text(json.dumps(list(range(1000))))
    with pytest.raises(WorkbenchError, match="larger than the 100 bytes"):
        read_json(tmp_path / "large.json", 100)
    assert len(read_json(tmp_path / "large.json")) == 1000
    with pytest.raises(WorkbenchError, match="is missing"):
        read_json(tmp_path / "none.json")
    with pytest.raises(WorkbenchError, match="no plain file"):
        read_json(tmp_path)
