"""Options for data that does not come along."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cifar-test", help="CIFAR-10 test images as .npz; the first half validates, the second tests")
    parser.addoption("--cifar-train", help="CIFAR-10 training images as .npz")
    parser.addoption("--cifar-weights", help="weights of tests/benchmarks/cifar_net.py:resnet20")
