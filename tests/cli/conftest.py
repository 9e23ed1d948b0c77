"""A folder with a net, data and a recipe, and the arguments that name them."""

from pathlib import Path

import numpy as np
import pytest

import workbench as wb

NET = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
"""
RECIPE = wb.Recipe((wb.Prune(amount=0.5), wb.PruneChannels(amount=0.25), wb.Quantize(bits=4)), seed=2)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a net, data and a recipe in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NET)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (90, 4, 4), np.uint8)
    np.savez("data.npz", images=images, labels=np.arange(90) % 3, classes=np.array(["a", "b", "c"]))
    RECIPE.save("recipe.json")
    return tmp_path


SUBJECT = ["nets.py:net", "--validation", "data.npz[:60]", "--train", "data.npz[60:]", "--mean", "0.5", "--std", "0.25",
           "--seconds", "0", "--threads", "1"]  # fmt: skip
