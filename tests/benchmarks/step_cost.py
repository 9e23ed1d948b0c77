"""What a step, a scan of one layer or an export takes for a net of so many parameters, in a process of its own.

`python -m tests.benchmarks.step_cost 1e6 Prune` prints parameters, seconds, and bytes beside the model's; the nets are
four square layers, or as many as a third argument says, on few samples. `test_growth.py` asks for all of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable

import torch
from torch import nn

import workbench as wb
from tests.benchmarks.peak import Peak
from workbench.inspection import model_map
from workbench.steps import Context, State, candidate

DEPTH, SAMPLES = 4, 64
STEPS: dict[str, wb.Step] = {
    "Prune": wb.Prune(amount=0.5),
    "Prune, all layers": wb.Prune(amount=0.5, ranking="global"),
    "Quantize": wb.Quantize(bits=4, group=64),
    "Quantize, second order": wb.Quantize(bits=4, rounding="second-order"),
    "PruneChannels": wb.PruneChannels(amount=0.3),
    "Factorize": wb.Factorize(amount=0.5),
    "FineTune": wb.FineTune(epochs=1, batch_size=32),
}


def subject_of(parameters: float, depth: int = DEPTH) -> wb.Subject:
    """Return a net of about so many parameters, in so many layers and a last one."""
    width = round((parameters / depth) ** 0.5)
    torch.manual_seed(0)
    layers = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())]
    data = torch.randn(SAMPLES, width), torch.randint(0, 4, (SAMPLES,))
    model = nn.Sequential(*layers, nn.Linear(width, 4)).eval()
    return wb.Subject("square", model, wb.Task(train=data, validation=data))


def drawn(context: Context) -> object:
    """Return the map of a model as the panel first shows it."""
    graph = context.modules(context.subject.model)
    return model_map.lay_out(model_map.fold(graph, model_map.default_unfolded(graph)))


def work_of(name: str, subject: wb.Subject) -> Callable[[], object]:
    """Return a piece of work."""
    context = Context(subject)
    if name == "inspect":
        return lambda: context.layers(subject.model)
    if name == "map":
        return lambda: drawn(context)
    context.layers(subject.model)
    if name in STEPS:
        return lambda: candidate(State.of(subject), STEPS[name], context)
    settings = wb.Settings(seconds=0.0, runtimes=("eager",))
    session = wb.Session(subject, settings, threaded=False, autosave=None)
    session.measure()
    if name == "one layer's sensitivity":
        return lambda: session.sensitivity(wb.Prune(layers="0"), (0.5,))
    return lambda: session.export(tempfile.mkdtemp() + "/out", ("safetensors",))


NAMES = ("inspect", *STEPS, "export")
BY_DEPTH = ("inspect", "map", *STEPS, "one layer's sensitivity", "export")


def main() -> None:
    """Print one row as JSON."""
    parameters, name = float(sys.argv[1]), sys.argv[2]
    depth = int(sys.argv[3]) if sys.argv[3:] else DEPTH
    subject = subject_of(parameters, depth)
    size = sum(value.nbytes for value in subject.model.parameters())
    seconds, taken = Peak().of(work_of(name, subject))
    facts = {"work": name, "parameters": size // 4, "layers": depth + 1, "s": seconds}
    print(json.dumps({**facts, "models": taken / size, "MB": taken / 1e6}))


if __name__ == "__main__":
    main()
