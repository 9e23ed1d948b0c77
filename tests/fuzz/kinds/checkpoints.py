"""Weights of others: `.pt` and `.safetensors`."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nested._internal.ops  # torch loads it itself when it meets a nested tensor, or parts of one
from safetensors.torch import save
from torch import nn

from tests.fuzz.kind import Kind
from tests.fuzz.values import anything, damaged, surgery, text_of
from workbench.errors import WorkbenchError
from workbench.loading.weights import load_weights

ODD_TYPES = (torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.int8, torch.bool, torch.float64,
             torch.bfloat16, torch.uint16, torch.int64)  # fmt: skip


class Evil:
    def __reduce__(self) -> Any:
        return (open, ("/dev/null", "w"))


class Checkpoint(Kind):
    name: ClassVar[str] = "checkpoint"

    def prepare(self, home: Path) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
        self.good = {name: value.clone() for name, value in self.model.state_dict().items()}
        for number, old in enumerate((False, True)):
            torch.save(self.good, home / f"{number}.pt", _use_new_zipfile_serialization=not old)
        (home / "w.safetensors").write_bytes(save(self.good))
        for path in home.iterdir():
            load_weights(self.model, path)
        for rng in map(random.Random, range(150)):  # what torch loads when it meets odd tensors
            place = home / "warm"
            self.mutant(rng, place)
            try:
                self.read(place)
            except WorkbenchError:
                continue

    def mutant(self, rng: random.Random, place: Path) -> str:
        self.suffix = rng.choice((".pt", ".pt", ".safetensors"))
        change = rng.choice(
            (_safetensors,) if self.suffix == ".safetensors" else (_bytes, _content, _content, _members)
        )
        data, done = change(rng, self.good)
        place.with_suffix(self.suffix).write_bytes(data)
        return f"{self.suffix} {done}"

    def read(self, place: Path) -> Any:
        self.model.load_state_dict(self.good)
        load_weights(self.model, place.with_suffix(self.suffix))

    def use(self, made: Any) -> None:
        with torch.no_grad():
            self.model(torch.ones(2, 4))


def saved(content: Any, old: bool) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some kinds of tensors are new
        torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def _bytes(rng: random.Random, good: dict[str, Any]) -> tuple[bytes, str]:
    old = rng.random() < 0.5
    data = saved({"state_dict": good} if rng.random() < 0.5 else good, old)
    return damaged(rng, data), f"bytes, {'old' if old else 'new'}"


def _members(rng: random.Random, good: dict[str, Any]) -> tuple[bytes, str]:
    """Change what is in the archive, with checksums that fit."""
    stream, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(saved(good, False)))
    names = source.namelist()
    changed = rng.choice([name for name in names if "data" in name or "byteorder" in name or "version" in name])
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name in names:
            data = source.read(name)
            archive.writestr(name, damaged(rng, data) if name == changed else data)
    return stream.getvalue(), f"member {changed}"


def _content(rng: random.Random, good: dict[str, Any]) -> tuple[bytes, str]:
    """Save other things than a state dict, or one with odd tensors."""
    name = rng.choice(list(good))
    value = good[name]
    how = rng.randrange(14)
    content: Any = dict(good)
    if how < 9:
        content[name] = (
            lambda: value.to(rng.choice(ODD_TYPES)),
            lambda: value.to_sparse(),
            lambda: torch.empty(value.shape, device="meta"),
            lambda: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8),
            lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            lambda: value.expand(3, *value.shape),
            lambda: value.float().flatten().as_strided((4, 3), (0, 0)),
            lambda: nn.Parameter(value.float()),
            lambda: torch.full_like(value.float(), float("nan")),
        )[how]()
    elif how == 9:
        content = {"state_dict": content}
        content["state_dict"]["model"] = content  # holds itself
    elif how == 10:
        content = {"model": content}
        content["model"] = content
    elif how == 11:
        content[name] = Evil()
    elif how == 12:
        content = rng.choice(
            ([content], OrderedDict(good), {"state_dict": anything(rng)}, {1: value, None: value}, value)
        )
    else:
        return pickle.dumps(content if rng.random() < 0.5 else anything(rng), rng.randrange(6)), "plain pickle"
    return saved(content, rng.random() < 0.3 and how not in (2, 4)), f"content {how}"


def _safetensors(rng: random.Random, good: dict[str, Any]) -> tuple[bytes, str]:
    whole = save(good)
    (length,) = struct.unpack("<Q", whole[:8])
    if rng.random() < 0.3:
        return damaged(rng, whole), "bytes"
    header = json.loads(whole[8 : 8 + length])
    how = surgery(rng, header)
    text = text_of(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + whole[8 + length :], how
