"""What a causal language model in bfloat16 takes: time and memory, from inspecting it to reading it back.

Each piece of work runs in a process of its own; memory is what was taken at most, by the operating system's count,
above what was there before it began, in multiples of the model's bytes:

    python -m tests.benchmarks.language_model --parameters 1e8

The model has random weights, from a `LlamaConfig` where transformers is installed, else from the like of it here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.peak import Peak
from workbench.jobs.interrupt import interruptible
from workbench.jobs.progress import Progress
from workbench.model.layers import layers
from workbench.steps import Context, State, candidate

VOCABULARY, TOKENS, SAMPLES = 32_000, 32, 8
HEAD = 64  # of attention, in numbers


class Block(nn.Module):
    """Attention that sees what came before, and a gated layer after it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, 8 * width // 3, bias=False) for _ in range(2))
        self.down = nn.Linear(8 * width // 3, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        parts = (layer(y).unflatten(-1, (-1, HEAD)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).flatten(2))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """Numbers of tokens [n, t] to logits [n, t, VOCABULARY]."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(tokens))))


def built(parameters: float) -> tuple[nn.Module, str]:
    """Return a model of about so many parameters in bfloat16, and what it is."""
    width = max(HEAD, HEAD * round((parameters / 600) ** 0.5 / HEAD / 0.64)) if parameters < 3e8 else 2048
    depth = max(round((parameters - 2 * VOCABULARY * width) / (12 * width**2)), 1)
    torch.manual_seed(0)
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return Decoder(width, depth).to(torch.bfloat16).eval(), "a decoder of its own"
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=8 * width // 3, num_hidden_layers=depth,
        num_attention_heads=width // HEAD, tie_word_embeddings=False, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(torch.bfloat16).eval(), "LlamaForCausalLM"


def subject_of(parameters: float) -> tuple[wb.Subject, int, str]:
    """Return the subject, its bytes, and what it is."""
    model, what = built(parameters)
    size = sum(value.nbytes for value in model.parameters())
    tokens = torch.randint(VOCABULARY, (SAMPLES, TOKENS + 1))
    data = (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
    return wb.Subject("language-model", model, wb.Task(train=data, validation=data, metric="perplexity")), size, what


GROUPS = wb.Quantize(bits=4, group=128, granularity="group")
STEPS: dict[str, wb.Step] = {
    "half of the weights": wb.Prune(amount=0.5),
    "2:4": wb.Prune(amount=0.5, pattern="n:m", size=4),
    "two blocks dropped": wb.PruneBlocks(blocks=2),
    "4-bit groups": GROUPS,
    "4-bit groups, GPTQ": replace(GROUPS, rounding="second-order"),
}


def ten_layers(subject: wb.Subject) -> str:
    """Return globs of ten linear layers, from the first to the last block."""
    names = [layer.name for layer in layers(subject.model, subject.task.example()) if layer.kind == "linear"]
    return ", ".join(names[round(i * (len(names) - 1) / 9)] for i in range(10))


def work_of(name: str, subject: wb.Subject, told: Progress) -> Callable[[], object]:
    """Return a piece of work; what it stands on is done before."""
    context = Context(subject, progress=told)
    if name == "inspect":
        return lambda: context.layers(subject.model)
    context.layers(subject.model)
    if name in STEPS:
        return lambda: candidate(State.of(subject), STEPS[name], context)
    settings = wb.Settings(seconds=0.0, runtimes=("eager",))
    session = wb.Session(subject, settings, threaded=False, autosave=None)
    if name == "session":
        return session.measure
    if name == "ten layers' sensitivity":
        session.measure()
        few = wb.Quantize(bits=3, layers=ten_layers(subject))
        return lambda: session.sensitivity(few, (3,), progress=told)
    out = Path(tempfile.mkdtemp()) / "out"
    session.apply(GROUPS)
    if name == "export of 4 bits":
        return lambda: session.export(out, ("safetensors",))
    session.export(out, ("safetensors",))
    return lambda: wb.load_model(out)


NAMES = ("inspect", "session", "ten layers' sensitivity", *STEPS, "export of 4 bits", "reading back")


class Asked:
    """Looks at how long nobody asked whether to stop: for so long work goes on after *Cancel*."""

    def __init__(self) -> None:
        self.longest, self._last = 0.0, time.perf_counter()

    def __call__(self) -> bool:
        now = time.perf_counter()
        self.longest, self._last = max(self.longest, now - self._last), now
        return False


def main() -> None:
    """Print a row for each piece of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=float, default=1e8)
    parser.add_argument("--only", choices=NAMES, help="one piece of work, in this process")
    chosen = parser.parse_args()
    if chosen.only:
        subject, size, what = subject_of(chosen.parameters)
        asked = Asked()
        work = work_of(chosen.only, subject, Progress(None, asked))
        asked()
        asked.longest = 0.0
        with interruptible(Progress(None, asked)):  # as a session does for a model of this size
            seconds, taken = Peak().of(work)
        asked()
        model = f"{size / 1e6:,.0f} MB, {what}"
        print(f"| {chosen.only} | {seconds:.1f} s | {taken / size:.2f} | {asked.longest:.1f} s | {model} |", flush=True)
        return
    for name in NAMES:
        line = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.language_model"]
        subprocess.run([*line, "--parameters", str(chosen.parameters), "--only", name], check=True)


if __name__ == "__main__":
    main()
