"""Options for data that does not come along, and the subjects that most benchmarks take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import workbench as wb

NET = Path(__file__).with_name("cifar_net.py")
# Files of the jobs in `real`; the job's module says how each is laid out and where it comes from.
REAL = {
    "r8-train": "Reuters-21578, R8: training items, a .tsv.gz of label and text",
    "r8-test": "the same: test items",
    "g2p-weights": "weights of the g2p_en package as .npz",
    "g2p-words": "the CMU pronouncing dictionary, gzipped",
    "silero-weights": "weights of Silero VAD for 16 kHz as .safetensors",
    "spoken-digits": "the free spoken digit dataset as .npz",
    "blood-cells": "the blood cell count and detection dataset (BCCD) as .npz",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cifar-test", help="CIFAR-10 test images as .npz; the first half validates, the second tests")
    parser.addoption("--cifar-train", help="CIFAR-10 training images as .npz")
    parser.addoption("--cifar-weights", help="weights of tests/benchmarks/cifar_net.py:resnet20")
    parser.addoption("--search-seconds", default="600", help="time of each search, and of what it is compared with")
    parser.addoption("--search-seeds", default="3", help="how many times each")
    for name, words in REAL.items():
        parser.addoption(f"--{name}", help=words)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Stands in for the tests' fixture of that name: benchmarks use all threads, as people do."""


@pytest.fixture(params=["digits-resnet", "cifar-resnet20"])
def subject(request: pytest.FixtureRequest) -> wb.Subject:
    """The embedded ResNet, and ResNet-20 with all test images as validation where they are given."""
    if request.param == "digits-resnet":
        return wb.load("digits-resnet")
    images, weights = (request.config.getoption(f"--cifar-{name}") for name in ("test", "weights"))
    if not (images and weights):
        pytest.skip("give --cifar-test and --cifar-weights")
    return wb.load(
        f"{NET}:resnet20", checkpoint=weights, validation=images, name="cifar-resnet20",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip


@pytest.fixture
def publish(request: pytest.FixtureRequest) -> Callable[[str, list[dict[str, object]]], None]:
    """Return a function that prints rows as a table and writes them as JSON to `out/benchmarks`."""

    def show(title: str, rows: list[dict[str, object]]) -> None:
        folder = Path(request.config.rootpath) / "out" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in title)
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        texts = [{key: _short(value) for key, value in row.items()} for row in rows]
        heads = list(texts[0])
        wide = {head: max(len(head), *(len(row[head]) for row in texts)) for head in heads}
        print(f"\n{title}")
        for row in [dict(zip(heads, heads, strict=True)), *texts]:
            print("  ".join(row[head].ljust(wide[head]) for head in heads))

    return show


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
