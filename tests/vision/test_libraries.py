"""Models of torchvision and timm, in an environment of their own: `make test-vision`. Random weights, no downloads."""

from __future__ import annotations

import pytest
import torch

import workbench as wb

pytest.importorskip("torchvision")
pytest.importorskip("timm")
NAMES = ("torchvision:resnet18", "torchvision:mobilenet_v3_small", "timm:mobilenetv3_small_100")


def _task(classes: int = 1000) -> wb.Task:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, 3, 64, 64), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, classes, (24,), generator=generator)
    return wb.Task(validation=(images, labels), train=(images, labels), mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_library_model_is_compressed_and_exported(name: str, tmp_path) -> None:
    torch.manual_seed(0)
    subject = wb.load(name, task=_task())
    assert subject.source == name
    session = wb.Session(subject, wb.Settings(seconds=0.05), threaded=False, autosave=None)
    before = session.baseline
    cut = session.apply(wb.PruneChannels(amount=0.25))
    assert cut.macs < before.macs
    assert cut.params < before.params
    session.apply(wb.Quantize(bits=8))
    folder = session.export(tmp_path / "out", formats=("safetensors", "onnx"))
    assert (folder / "model.safetensors").stat().st_size == session.current.bytes.total


def test_an_unknown_name_is_one_clear_error() -> None:
    with pytest.raises(wb.WorkbenchError, match="nosuchnet"):
        wb.load("torchvision:nosuchnet", task=_task())
