"""`wb.load`: each way to name a model, and a clear word for each that does not work."""

import sys

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.loading import python_file

FACTORY = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Shape:
    inputs: int = 10

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(Shape().inputs, 8), nn.ReLU(), nn.Linear(8, 4)).train()

def number():
    return 5

def needs(width):
    return nn.Linear(width, 2)

def breaks():
    raise RuntimeError("out of ideas")

not_callable = 3
"""


@pytest.fixture
def nets_file(tmp_path):
    (tmp_path / "my nets.py").write_text(FACTORY)
    return tmp_path / "my nets.py"


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    return {"task": wb.Task(validation=(rng.random((20, 10), np.float32), rng.integers(0, 4, 20)))}


def test_a_factory_in_a_file_with_a_checkpoint(nets_file, data, tmp_path):
    torch.save({"state_dict": torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
                .state_dict()}, tmp_path / "w.pt")  # fmt: skip
    plain = wb.load(f"{nets_file}:small", **data)
    assert (plain.name, plain.source) == ("small", f"{nets_file}:small")
    assert not plain.model.training
    loaded = wb.load(f"{nets_file}:small", checkpoint=tmp_path / "w.pt", name="mine", **data)
    assert loaded.name == "mine"
    assert not torch.equal(loaded.model[0].weight, plain.model[0].weight)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("large", r"has no large; it has Shape, small, number, needs, breaks"),
        ("number", "gave a int, not a torch.nn.Module"),
        ("needs", "fails when it is called without arguments"),
        ("breaks", "out of ideas"),
        ("not_callable", "not_callable"),
    ],
)
def test_a_factory_that_does_not_work_is_told(nets_file, data, name, said):
    with pytest.raises(WorkbenchError, match=said):
        wb.load(f"{nets_file}:{name}", **data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import torch\ntorch.no_such_thing", "AttributeError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_file_that_fails_is_told_and_leaves_no_half_module(tmp_path, data, text, said):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(WorkbenchError, match=rf"bad\.py.*{said}"):
        wb.load(f"{tmp_path}/bad.py:f", **data)
    assert "workbench_user_bad" not in sys.modules


def test_a_missing_file_and_a_wish_to_download_are_refused(nets_file, data, tmp_path):
    with pytest.raises(WorkbenchError, match="there is no file"):
        wb.load(f"{tmp_path}/none.py:f", **data)
    with pytest.raises(WorkbenchError, match="no weights to download"):
        wb.load(f"{nets_file}:small", pretrained=True, **data)
    with pytest.raises(WorkbenchError, match="must look like"):
        python_file.get("nets.py", False)


@pytest.mark.parametrize("name", ["digits-vgg", "resnet18", "", "nets.py", "/no/such/folder", "module:thing"])
def test_an_unknown_name_is_refused_with_those_there_are(name):
    with pytest.raises(WorkbenchError, match=r"is not known; known are digits-resnet, digits-transformer, .*timm:"):
        wb.load(name)


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [
        ("torchvision:resnet18", "torchvision.models", "vision"),
        ("timm:resnet18", "timm", "vision"),
        ("hf:bert", "transformers", "text"),
    ],
)
def test_a_missing_extra_is_named_with_how_to_get_it(monkeypatch, text, module, extra):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        WorkbenchError, match=rf"needs the extra '{extra}': pip install 'compression-workbench\[{extra}\]'"
    ):
        wb.load(text)


def test_an_embedded_subject_has_its_own_data_and_may_be_renamed(tmp_path, data):
    subject = wb.load("digits-transformer", name="mine")
    assert (subject.name, subject.source) == ("mine", "digits-transformer")
    for split in ("validation", "train", "test"):
        with pytest.raises(WorkbenchError, match="brings its own data"):
            wb.load("digits-transformer", **{split: "x.npz"})


def test_data_from_files_becomes_the_task(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))\n"
    )
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", images=rng.integers(0, 255, (30, 4, 4), np.uint8), labels=rng.integers(0, 3, 30))
    subject = wb.load(
        f"{tmp_path}/nets.py:net",
        validation=f"{tmp_path}/d.npz[:10]",
        train=tmp_path / "d.npz",
        classes=["a", "b", "c"],
        metric="accuracy",
    )
    assert (len(subject.task.split("validation")), len(subject.task.split("train"))) == (10, 30)
    assert not subject.task.has("test")
    with pytest.raises(WorkbenchError, match="no data to judge"):
        wb.load(f"{tmp_path}/nets.py:net")
