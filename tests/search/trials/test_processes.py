"""Processes of this machine, and a Dask cluster, as executors: who does the work, and what people are told of them."""

import os

import pytest
import torch

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.search.trials import cluster as module
from workbench.search.trials.cluster import cluster, executor_words
from workbench.search.trials.processes import VISIBLE, processes, visible_devices


def seen(_):
    return os.environ.get(VISIBLE)


@pytest.mark.parametrize(("own", "devices"), [("", ["0", "1"]), ("GPU-a, GPU-b,GPU-c", ["GPU-a", "GPU-b"])])
def test_each_process_sees_a_device_of_its_own(monkeypatch, own, devices):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv(VISIBLE, own)
    assert visible_devices() == devices
    with processes(2) as pool:
        # Some of so many pieces fall to each process.
        assert set(pool.map(seen, range(40))) <= set(devices)
    assert os.environ[VISIBLE] == own


def test_one_device_is_for_all(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    pool = processes(3)
    assert pool._initializer is None
    assert executor_words(pool) == ("scans and searches on 3 workers", "")
    pool.shutdown()


def test_a_session_has_an_executor_of_its_own(images):
    session = wb.Session(images, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    alone = session.sensitivity(wb.Prune(), (0.5,))
    taken = []
    with processes(1) as pool:
        plain = pool.submit
        pool.submit = lambda *args, **kwargs: taken.append(1) or plain(*args, **kwargs)
        session.executor = pool
        there = session.sensitivity(wb.Prune(), (0.5,))
    assert taken
    assert [point.score.value for point in there.points] == [point.score.value for point in alone.points]


def test_a_cluster_is_told_of_with_its_dashboard(images):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as local,
        cluster(local.scheduler_address) as executor,
    ):
        words, link = executor_words(executor)
        assert words == "scans and searches on 1 worker"
        assert link.startswith("http") or link == "", "without Bokeh's server there is none"


def test_no_cluster_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 1)
    pytest.importorskip("distributed")
    with pytest.raises(WorkbenchError, match="no Dask scheduler answers"), cluster("tcp://127.0.0.1:9"):
        pass
