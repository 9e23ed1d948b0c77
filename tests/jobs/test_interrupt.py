"""Leaving a forward pass in the middle."""

import threading
import time

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import Cancelled
from workbench.jobs.interrupt import interruptible
from workbench.jobs.progress import Progress
from workbench.session import session as module


class Counting(nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        self.calls.append(threading.get_ident())
        return x


def test_a_pass_is_left_before_the_next_module():
    calls = []
    model = nn.Sequential(*(Counting(calls) for _ in range(10)))

    def run():
        with interruptible(Progress(None, lambda: len(calls) == 4)):
            try:
                model(torch.zeros(1))
            except Exception:  # as around a runtime, whose failure is noted
                calls.append("taken for a failure")

    with pytest.raises(Cancelled):
        run()
    assert len(calls) == 4
    model(torch.zeros(1))
    assert len(calls) == 14, "nobody asks any more"


def test_other_threads_are_left_alone():
    calls = []
    with interruptible(Progress(None, lambda: True)):
        thread = threading.Thread(target=lambda: Counting(calls)(torch.zeros(1)))
        thread.start()
        thread.join()
    assert len(calls) == 1


class Slow(nn.Module):
    """A tenth of a second in each of a hundred modules."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.parts = nn.Sequential(*(Sleeping() for _ in range(100)))

    def forward(self, x):
        return self.fc(self.parts(x))


class Sleeping(nn.Module):
    naps, awake = False, 0

    def forward(self, x):
        if Sleeping.naps:
            time.sleep(0.1)
            Sleeping.awake += 1
        return x


def test_a_large_models_job_ends_within_a_pass(monkeypatch):
    monkeypatch.setattr(module, "LARGE_BYTES", 8)
    data = torch.randn(8, 4), torch.randint(2, (8,))
    subject = wb.Subject("slow", Slow().eval(), wb.Task(validation=data))
    session = wb.Session(subject, wb.Settings(seconds=0.0, runtimes=("eager",)), autosave=None)
    session.measure()
    monkeypatch.setattr(Sleeping, "naps", True)
    future = session.start("Scan", session.sensitivity, wb.Prune(), (0.5,))
    while not Sleeping.awake:
        time.sleep(0.01)
    session.cancel()
    with pytest.raises(Cancelled):
        future.result(60)
    assert Sleeping.awake < 90, "the pass went on to its end"
    session.close()
