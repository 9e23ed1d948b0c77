"""Tables of samples: from files, from rows, and from what has the interface of `datasets`."""

import gzip
import json

import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.loading.tables import Table, is_table, read_table, table_of

ROWS = [{"text": "one, two", "label": "0"}, {"text": 'a "word"', "label": "1"}, {"text": "ünï\nline", "label": "0"}]
CSV = 'text,label\n"one, two",0\n"a ""word""",1\n"ünï\nline",0\n'


def test_files_of_every_kind_give_the_same_rows(tmp_path):
    (tmp_path / "a.csv").write_text(CSV, "utf-8")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "a.tsv").write_text("text\tlabel\nx\t1\n", "utf-8-sig")
    for name in ("a.csv", "a.jsonl", "a.csv.gz"):
        assert is_table(tmp_path / name)
        assert list(read_table(tmp_path / name).rows) == ROWS
    assert read_table(tmp_path / "a.tsv").column("text") == ["x"]
    assert not is_table(tmp_path / "a.npz")


def test_what_has_named_columns_is_a_table():
    class Like:
        column_names = ("text", "label")

        def __len__(self):
            return 2

        def __getitem__(self, place):
            return ROWS[place]

        def __iter__(self):
            return iter(ROWS[:2])

    assert is_table(Like())
    assert is_table(ROWS)
    assert table_of(Like()).column("sentence", "text") == ["one, two", 'a "word"']
    with pytest.raises(WorkbenchError, match="the table has no column 'image' or 'img'; it has text, label"):
        Table(ROWS).column("image", "img")
    with pytest.raises(WorkbenchError, match="the table is empty"):
        Table([])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"text,label\nx\n", "a line has more or fewer values"),
        ("a.csv", b"text,label\nx,1,2\n", "a line has more or fewer values"),
        ("a.csv", b"text,label\n", "is empty"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read as a table"),
        ("a.jsonl", b'{"text": 1}\n{"other": 2}\n', "rows have different columns"),
        ("a.jsonl", b"[1]\n", "rows have different columns"),
        ("a.jsonl", b"{", "cannot be read as a table"),
        ("a.csv.gz", b"no gzip", "cannot be read as a table"),
        ("gone.csv", None, "gone.csv"),
    ],
)
def test_what_is_no_table_is_said(name, content, said, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkbenchError, match=said):
        read_table(tmp_path / name)


def test_a_table_needs_a_model_that_knows_how_to_read_it(tmp_path):
    (tmp_path / "a.csv").write_text(CSV, "utf-8")
    (tmp_path / "net.py").write_text("import torch\ndef net():\n    return torch.nn.Linear(2, 2)\n")
    with pytest.raises(WorkbenchError, match="is a table, and what turns text into numbers is not known; give hf:"):
        wb.load(f"{tmp_path / 'net.py'}:net", validation=str(tmp_path / "a.csv"))
