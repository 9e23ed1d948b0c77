"""Files are gone through, brought up and taken along; no name leads out of what is listed."""

from __future__ import annotations

import numpy as np
import pytest

from widgets import Panel
from widgets.file_list import FileList
from workbench.session.session import Session


def test_only_listed_files_are_sent(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.html").write_text("<p>a</p>")
    (tmp_path / "secret").write_text("no")
    files, sent = FileList("out"), []
    monkeypatch.setattr(files, "send", lambda facts, buffers: sent.append((facts, buffers[0])))
    files.show([tmp_path / "a.html"])
    assert files.rows == [{"name": "a.html", "folder": False, "size": "8 B", "opens": True}]
    for name in ("secret", "../secret", str(tmp_path / "secret")):
        files.receive({"fetch": name})
    assert sent == []
    files.receive({"fetch": "a.html", "open": True})
    assert sent == [({"file": "a.html", "type": "text/html", "open": True}, b"<p>a</p>")]
    files.receive({"upload": "b.txt"}, [b"x"])
    assert not (tmp_path / "b.txt").exists(), "what lists files to download takes none"


def test_a_folder_is_browsed_and_a_file_brought_up(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").write_text("")
    taken, failed = [], []
    files = FileList(choose=taken.append, failed=failed.append)
    files.browse(tmp_path)
    assert [row["name"] for row in files.rows] == ["..", "sub"]
    files.receive({"upload": "../../evil.py"}, [b"x = 1"])
    assert (tmp_path / "evil.py").read_bytes() == b"x = 1"
    assert files.chosen == "evil.py"
    files.receive({"upload": "evil.py"}, [b"x = 2"])
    assert "already" in failed[0]
    assert (tmp_path / "evil.py").read_bytes() == b"x = 1"
    files.receive({"choose": "sub"})
    assert files.title == str(tmp_path / "sub")
    files.receive({"choose": ".."})
    assert taken == [tmp_path / "evil.py", tmp_path / "sub", tmp_path]


@pytest.mark.usefixtures("session")
def test_a_file_says_what_it_holds_and_fills_its_field(session: Session, tmp_path) -> None:
    panel = Panel(session)
    (tmp_path / "nets.py").write_text("def small(): ...\n")
    np.savez(tmp_path / "data.npz", images=np.zeros((5, 3, 8, 8)), labels=np.zeros(5))
    np.savez(tmp_path / "half.npz", images=np.zeros((5, 3, 8, 8)))
    choice = panel.subject
    choice.picker.browse(tmp_path)
    choice.picker.receive({"choose": "nets.py"})
    choice.use.click()
    assert choice.what.value == f"{tmp_path / 'nets.py'}:small"
    choice.picker.receive({"choose": "data.npz"})
    assert "5 × 3 × 8 × 8" in choice.holds.value
    choice.use.click()
    assert choice.fields["validation"].value == str(tmp_path / "data.npz")
    choice.picker.receive({"choose": "half.npz"})
    assert "labels missing" in choice.holds.value
    assert choice.use.layout.display == "none"
