"""What a file holds, said before anything is made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workbench.errors import WorkbenchError
from workbench.inspection.contents import contents_of


def test_a_python_file_names_its_factories_and_is_not_run(tmp_path) -> None:
    path = tmp_path / "nets.py"
    path.write_text("raise SystemExit\ndef small(width=8): ...\ndef needs(x): ...\ndef _own(): ...\nclass Net: ...\n")
    found = contents_of(path)
    assert found.kind == "model"
    assert found.choices == (f"{path}:small", f"{path}:Net")
    path.write_text("x = 1\n")
    assert "no function or class" in contents_of(path).missing
    path.write_text("def broken(:\n")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        contents_of(path)


def test_an_archive_names_its_arrays_and_what_is_missing(tmp_path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.zeros((5, 3, 8, 8), np.uint8), labels=np.zeros(5, np.int64))
    found = contents_of(path)
    assert (found.kind, found.missing) == ("data", "")
    assert "images: uint8, 5 × 3 × 8 × 8" in found.lines
    np.savez(path, x=np.zeros(5), labels=np.zeros(5))
    assert contents_of(path).missing == "data needs arrays called images and labels; images missing"
    np.savez(path, images=np.zeros((5, 3, 8, 8)), labels=np.zeros(4))
    assert contents_of(path).missing == "there are 5 images and 4 labels"
    path.write_bytes(b"no archive")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        contents_of(path)


def test_a_checkpoint_names_its_tensors(tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"fc.weight": torch.zeros(4, 3), "fc.bias": torch.zeros(4)}, path)
    found = contents_of(path)
    assert found.kind == "checkpoint"
    assert found.lines[0].startswith("2 tensors, 16 values")
    assert "fc.weight: 4 × 3" in found.lines


def test_folders_and_other_files(tmp_path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
    assert contents_of(tmp_path / "pets").lines == ("2 folders, one a class: cat, dog",)
    (tmp_path / "a.txt").write_text("a")
    assert contents_of(tmp_path / "a.txt").missing
    with pytest.raises(WorkbenchError):
        contents_of(tmp_path / "none.npz")
