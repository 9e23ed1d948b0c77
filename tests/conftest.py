"""Small subjects that every test may share: trained in about a second, with a score that leaves room to fall."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import torch

from tests.subjects import images_subject, regression_subject, transformer_subject, vectors_subject
from workbench.model.subject import Subject
from workbench.session.session import Session, Settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="also the cases that the suite leaves out to stay short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs with `--whole` alone."""
    if config.getoption("--whole"):
        return
    left = [item for item in items if item.get_closest_marker("whole")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not item.get_closest_marker("whole")]


# Torch tells its trace log of every step of an export, and pytest would keep each line for a failure's report.
logging.getLogger("torch.__trace").propagate = False

QUICK = Settings(seconds=0.02)
# The same cases every time, and no limit for one: the first call of anything in torch is slow.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("same")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Keep to one thread, here and in the kernels that tests start: threads that share a core wait for each other."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images() -> Subject:
    """A convolutional net on 600 + 600 + 400 pictures of 12 × 12 pixels, 4 classes, about 90 % right."""
    return images_subject()


@pytest.fixture(scope="session")
def vectors() -> Subject:
    """A multilayer perceptron on 600 + 800 + 400 vectors, 4 classes, about 90 % right."""
    return vectors_subject()


@pytest.fixture(scope="session")
def transformer() -> Subject:
    """A vision transformer of 3 × 8 × 8 pixels, untrained; its labels are mostly its own answers."""
    return transformer_subject()


@pytest.fixture(scope="session")
def regression() -> Subject:
    """A multilayer perceptron that gives one value, judged by its mean squared error."""
    return regression_subject()


@pytest.fixture
def session(images: Subject, tmp_path) -> Iterator[Session]:
    """A session on `images`, all on the caller's thread, saved in the test's folder."""
    made = Session(images, QUICK, threaded=False, autosave=tmp_path / "autosave")
    yield made
    made.close()


@pytest.fixture
def open_session(tmp_path) -> Iterator[Callable[..., Session]]:
    """Return a function that opens sessions on any subject; they are closed after the test."""
    opened: list[Session] = []

    def make(subject: Subject, settings: Settings = QUICK, **options) -> Session:
        options = {"threaded": False, "autosave": tmp_path / "autosave", **options}
        opened.append(Session(subject, settings, **options))
        return opened[-1]

    yield make
    for made in opened:
        made.close()
