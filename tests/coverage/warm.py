"""Imported by the server that is forked for each net: what torch and the exporters load when they are first used."""

from __future__ import annotations

import onnxscript  # noqa: F401
import torch
from torch import nn

from workbench.graph import coupled_groups

coupled_groups(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval(), (torch.randn(2, 4),))
