"""A session on a tiny net with a hostile name, that has seen a bit of everything."""

import torch
from torch import nn

import workbench as wb

NAME = "<script>alert(1)</script>"


def tiny_session() -> wb.Session:
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.randn(count, 8, generator=generator)
        return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
    task = wb.Task(train=split(64), validation=split(300), test=split(100), name="signs")
    settings = wb.Settings(tolerance=0.05, seconds=0.02, runtimes=("eager",))
    session = wb.Session(wb.Subject(NAME, model, task), settings, threaded=False, autosave=None)
    session.apply(wb.Prune(amount=0.5))
    session.apply(wb.Quantize(bits=4, granularity="tensor"))
    session.sensitivity(wb.PruneChannels(), (0.25, 0.5), tolerance=0.1)
    session.curve = ((0.1, "loss", 1.0), (0.2, "loss", 0.5), (1.0, "score", 0.9))
    return session
