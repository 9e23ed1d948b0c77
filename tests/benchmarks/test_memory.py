"""How much memory an operation takes beside the model, in models of about 150 MB.

Each operation runs in a process of its own: what is taken at most, above what was there before it began, by the
operating system's count. `pytest tests/benchmarks/test_memory.py -s --override-ini=addopts=`
"""

import subprocess
import sys

import pytest

# Before states shared what they do not change (at the first edition), for comparison.
BEFORE = {
    "preview of Prune": 2.3, "global ranking": 5.2, "Quantize": 3.6, "FineTune with Adam": 5.1, "coupled groups": 2.1,
    "export": 2.7, "export after 4 bits": 4.6,
}  # fmt: skip

SETUP = """
import gc, os, sys, tempfile, threading, time
import psutil, torch
from torch import nn
torch.set_num_threads(1)
import workbench as wb
from workbench.steps import Context, State, candidate
from workbench.jobs.progress import Progress

WIDTH, DEPTH = 2048, 9
torch.manual_seed(0)
layers = [part for _ in range(DEPTH) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
model = nn.Sequential(*layers, nn.Linear(WIDTH, 4)).eval()
inputs, targets = torch.randn(64, WIDTH), torch.randint(0, 4, (64,))
task = wb.Task(train=(inputs, targets), validation=(inputs, targets))
subject = wb.Subject("wide", model, task)
session = wb.Session(subject, wb.Settings(seconds=0.0, runtimes=("eager",)), threaded=False, autosave=None)
size = sum(value.numel() * value.element_size() for value in model.parameters())
context = Context(subject)

def peak(work):
    process, most, going = psutil.Process(), 0, True
    gc.collect()
    before = process.memory_info().rss
    def watch():
        nonlocal most
        while going:
            most = max(most, process.memory_info().rss)
            time.sleep(0.002)
    thread = threading.Thread(target=watch)
    thread.start()
    work()
    going = False
    thread.join()
    print((most - before) / size)
"""
WORK = {
    "preview of Prune": "context.layers(model); session.reference(); session.baselines()\n"
    "peak(lambda: session.preview(wb.Prune(amount=0.5)))",
    "global ranking": "context.layers(model)\n"
    "peak(lambda: candidate(State.of(subject), wb.Prune(ranking='global'), context))",
    "Quantize": "context.layers(model)\npeak(lambda: candidate(State.of(subject), wb.Quantize(bits=4), context))",
    "FineTune with Adam": "context.layers(model)\n"
    "peak(lambda: wb.FineTune(epochs=2, batch_size=32).build(State.of(subject), context))",
    "coupled groups": "context.layers(model)\npeak(lambda: context.groups(model))",
    "export": "session.measure()\npeak(lambda: session.export(tempfile.mkdtemp() + '/out', ('safetensors',)))",
    "export after 4 bits": "session.apply(wb.Quantize(bits=4))\n"
    "peak(lambda: session.export(tempfile.mkdtemp() + '/out', ('safetensors',)))",
}


@pytest.mark.parametrize("name", WORK)
def test_memory_beside_the_model(name):
    done = subprocess.run([sys.executable, "-c", SETUP + WORK[name]], capture_output=True, text=True, check=True)
    print(f"{name:24} {float(done.stdout.split()[-1]):5.2f} models; before {BEFORE[name]}")
