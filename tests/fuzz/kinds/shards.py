"""Weights of others in several files: the index that names them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save
from torch import nn

from tests.fuzz.kind import Kind
from tests.fuzz.values import damaged, surgery, text_of
from workbench.loading.shards import INDEX
from workbench.loading.weights import load_weights


class Shards(Kind):
    name: ClassVar[str] = "shards"

    def prepare(self, home: Path) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).eval()
        self.good = {name: value.clone() for name, value in self.model.state_dict().items()}
        names = list(self.good)
        self.files = {
            f"{number}.safetensors": save({name: self.good[name] for name in names[number::2]}) for number in range(2)
        }
        self.index = {"weight_map": {name: f"{number % 2}.safetensors" for number, name in enumerate(names)}}
        place = home / "good"
        self._written(place, json.dumps(self.index).encode())
        self.use(self.read(place))

    def mutant(self, rng: random.Random, place: Path) -> str:
        index = json.loads(json.dumps(self.index))
        if rng.randrange(3) == 0:
            self._written(place, damaged(rng, json.dumps(index).encode()))
            return "bytes"
        done = "; ".join(surgery(rng, index) for _ in range(rng.choice((1, 1, 2))))
        self._written(place, text_of(index).encode("utf-8", "surrogatepass"))
        return done

    def read(self, place: Path) -> Any:
        self.model.load_state_dict(self.good)
        return load_weights(self.model, place.with_name(place.name + INDEX))

    def use(self, made: Any) -> None:
        with torch.no_grad():
            self.model(torch.ones(2, 4))

    def _written(self, place: Path, index: bytes) -> None:
        for name, data in self.files.items():
            place.with_name(name).write_bytes(data)
        place.with_name(place.name + INDEX).write_bytes(index)
