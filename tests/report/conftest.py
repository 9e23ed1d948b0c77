"""One record, and one run of the template, for all tests of the report."""

import pytest

from tests.report.nets import tiny_session
from workbench.report.notebook import run_template


@pytest.fixture(scope="session")
def record():
    session = tiny_session()
    yield session.record()
    session.close()


@pytest.fixture(scope="session")
def notebook(record, tmp_path_factory):
    return run_template(record, tmp_path_factory.mktemp("report"))
