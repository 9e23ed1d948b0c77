"""One JupyterLab and one browser for all browser tests; a page for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.driving import VIEW, open_in_place, open_shared, strangers
from tests.browser.lab import FLAGS, SHARED, Lab, find_browser, running_lab

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


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
    """A page that may ask nobody but this machine for anything."""
    opened = browser.new_page(viewport=VIEW)
    asked = strangers(opened)
    yield opened
    opened.close()
    lab.end_kernels(but=SHARED)
    assert asked == []


@pytest.fixture(scope="session")
def open_pages() -> list[tuple[Page, list[str]]]:
    """The page that tests with a panel share, and what it asked of other machines; empty where there is none yet."""
    return []


@pytest.fixture
def panel(
    request: pytest.FixtureRequest, browser: Browser, lab: Lab, open_pages: list[tuple[Page, list[str]]]
) -> Iterator[Page]:
    """A page with a panel on a fresh session; page and kernel are the same for all tests, or each would start both."""
    if open_pages:
        shared, asked = open_pages.pop()
        open_in_place(shared)
    else:
        shared = browser.new_page(viewport=VIEW)
        asked = strangers(shared)
        open_shared(shared, lab)
    yield shared
    if request.node.stash.get(FAILED, False):
        shared.close()
        lab.end_kernels()
    else:
        open_pages.append((shared, asked))
    assert asked == []
