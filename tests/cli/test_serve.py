"""The panel as a page: who gets in, what is asked for, and what is left afterwards."""

import signal
import socket
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import psutil
import pytest

from tests.cli.conftest import SUBJECT
from tests.cli.serving import kernels, serving
from tests.sampling import whole
from workbench.cli import serve
from workbench.cli.arguments import parser
from workbench.cli.main import main


def test_a_visitors_kernel_shows_the_chosen_subject(place):
    chosen = parser().parse_args(["serve", *SUBJECT, "--name", "it's mine", "--seed", "3", "--apart"])
    made: dict = {}
    exec(serve.code(chosen, place), made)  # noqa: S102  # as the kernel does
    session = made["session"]
    assert (session.subject.name, session.settings.seed, session.settings.seconds) == ("it's mine", 3, 0.0)
    assert len(session.subject.task.split("validation")) == 60
    assert Path.cwd().parent == place / "visitors"
    session.close()


def test_what_cannot_be_served_is_refused_before_anyone_comes(place, capsys, monkeypatch):
    assert main(["serve", "nets.py:nothing"]) == 1
    assert "nothing" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert f"cannot be served at 127.0.0.1, port {port}" in capsys.readouterr().err
    assert main(["serve", "--host", "192.0.2.1"]) == 1
    assert "192.0.2.1" in capsys.readouterr().err
    monkeypatch.setattr(serve, "find_spec", lambda _: None)
    assert main(["serve"]) == 1
    assert "compression-workbench[page]" in capsys.readouterr().err


class Asked(HTMLParser):
    """What a page asks for."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name == "src" or (name == "href" and tag != "a")]


def foreign(html):
    """Return what is asked for elsewhere."""
    found = Asked(html).found
    assert found
    return [url for url in found if url.startswith(("http", "//"))]


@pytest.mark.slow
def test_a_page_is_for_who_has_the_token_and_ends_with_the_server(place):
    # In the background, where SIGINT is ignored from the start: it is to end on it all the same.
    with serving(*SUBJECT, in_background=True) as (server, address):
        visitor = build_opener(HTTPCookieProcessor(CookieJar()))
        with visitor.open(address.partition("?")[0]) as answer:
            assert "/login" in answer.url
            assert foreign(answer.read().decode()) == []
        assert kernels(server) == []
        with visitor.open(address) as answer:
            page = answer.read().decode()
            policy = answer.headers["Content-Security-Policy"]
        assert "application/vnd.jupyter.widget-view+json" in page
        assert foreign(page) == []
        assert "default-src 'none'" in policy
        assert "http" not in policy
        running = kernels(server)
        assert len(running) == 1
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        assert psutil.wait_procs(running, 10)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("visitors", [0, pytest.param(1, marks=whole)])
def test_a_server_ends_on_sigterm_with_its_kernels(place, visitors):
    with serving(*SUBJECT) as (server, address):
        for _ in range(visitors):
            with build_opener(HTTPCookieProcessor(CookieJar())).open(address) as answer:
                answer.read()
        running = kernels(server)
        assert len(running) == visitors
        server.terminate()
        assert server.wait(30) == 0
        assert psutil.wait_procs(running, 10)[1] == []


def test_handlers_of_signals_are_put_back(capsys, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda _: None)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["serve"]) == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
