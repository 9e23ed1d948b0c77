"""Small subjects for tests, each the same every time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests import nets
from workbench.model.subject import Subject
from workbench.task.task import Task

CLASSES = ("circle", "square", "star", "cross")
Split = tuple[Tensor, Tensor]


class SmallConv(nn.Module):
    """Images [N, 1, 12, 12] to logits [N, 4]; has a norm, a residual and a bias to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(16)
        self.hidden = nn.Linear(16, 24)
        self.fc = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)) + x)
        return self.fc(F.relu(self.hidden(x.mean((2, 3)))))


def image_splits(counts: tuple[int, ...] = (600, 600, 400), noise: float = 0.68) -> list[Split]:
    """Return pictures of four patterns in noise, as uint8 [n, 1, 12, 12], and their labels."""
    generator = torch.Generator().manual_seed(3)
    patterns = F.interpolate(torch.rand(4, 1, 4, 4, generator=generator), 12, mode="bilinear")
    return [_noisy(patterns, count, noise, generator) for count in counts]


def _noisy(patterns: Tensor, count: int, noise: float, generator: torch.Generator) -> Split:
    labels = torch.randint(0, len(patterns), (count,), generator=generator)
    drawn = patterns[labels] + noise * torch.randn((count, *patterns.shape[1:]), generator=generator)
    return (drawn.clamp(-1, 2).add(1).mul(85)).round().to(torch.uint8), labels


def vector_splits(counts: tuple[int, ...] = (600, 800, 400)) -> list[Split]:
    """Return points [n, 10] around four centres, and the numbers of the centres."""
    generator = torch.Generator().manual_seed(4)
    centres = torch.randn(4, 10, generator=generator)
    found = []
    for count in counts:
        labels = torch.randint(0, 4, (count,), generator=generator)
        found.append((centres[labels] + 1.3 * torch.randn(count, 10, generator=generator), labels))
    return found


def images_subject(name: str = "small-conv") -> Subject:
    """Return a trained `SmallConv` with its task."""
    train, validation, test = image_splits()
    task = Task(
        train=train, validation=validation, test=test, classes=CLASSES, mean=(0.5,), std=(0.25,), name="patterns"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallConv()
        _train(model, task, epochs=4)
    return Subject(name, model.eval(), task)


def vectors_subject(name: str = "small-mlp") -> Subject:
    """Return a trained multilayer perceptron with its task."""
    train, validation, test = vector_splits()
    task = Task(train=train, validation=validation, test=test, name="points")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nets.mlp()
        _train(model, task, epochs=6)
    return Subject(name, model.eval(), task)


def transformer_subject() -> Subject:
    """Return a vision transformer whose labels are nine times in ten its own answers."""
    model, _ = nets.build("vit")
    generator = torch.Generator().manual_seed(5)
    splits = []
    for count in (128, 200, 100):
        inputs = torch.randn(count, 3, 8, 8, generator=generator)
        with torch.no_grad():
            labels = model(inputs).argmax(1)
        wrong = torch.rand(count, generator=generator) < 0.1
        splits.append((inputs, torch.where(wrong, (labels + 1) % 10, labels)))
    return Subject("small-vit", model, Task(train=splits[0], validation=splits[1], test=splits[2], name="own answers"))


def regression_subject() -> Subject:
    """Return a net that gives one value for six inputs, judged by its mean squared error."""
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(6, 1, generator=generator)

    def split(count: int) -> Split:
        inputs = torch.randn(count, 6, generator=generator)
        return inputs, torch.tanh(inputs @ weight) + 0.1 * torch.randn(count, 1, generator=generator)

    task = Task(train=split(400), validation=split(500), metric="mse", loss="mse", name="one value")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
        _train(model, task, epochs=8)
    return Subject("small-regression", model.eval(), task)


def _train(model: nn.Module, task: Task, epochs: int) -> None:
    data = task.split("train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(epochs):
        for indices in torch.split(torch.randperm(len(data)), 50):
            (inputs,), targets = data.batch(indices.tolist())
            optimizer.zero_grad()
            task.loss(model(inputs), targets).backward()
            optimizer.step()
