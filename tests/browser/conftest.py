"""One JupyterLab and one browser for all browser tests; a page for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.lab import FLAGS, Lab, find_browser, running_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if find_browser() is None:
        pytest.skip("no Chromium on this machine; sh tests/browser/chromium.sh installs one on Debian")
    with running_lab(tmp_path_factory.mktemp("lab") / "notebooks") as running:
        yield running


@pytest.fixture(scope="session")
def browser(lab: Lab) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1500, "height": 1300})
    yield opened
    opened.close()
    lab.end_kernels()
