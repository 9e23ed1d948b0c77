"""Validation data that is drawn by chance is refused when a session begins, and nothing else is."""

import pytest
import torch
from torch.utils.data import Dataset

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.session.steady import check_steady


class Drawn(Dataset):
    """Samples of another dataset that are changed by chance.

    Args:
        data: The other.
        chance: Generator of a sample's number.
        part: Of samples that are changed.
        target: Whether the target is changed and not the input.
    """

    def __init__(self, data, chance, part=1.0, target=False):
        self.data, self.chance, self.part, self.target = data, chance, part, target

    def __len__(self):
        return len(self.data)

    def __getitem__(self, number):
        (image,), label = self.data.batch([number])
        chance = self.chance(number)
        changed = float(torch.rand((), generator=chance)) < self.part
        if self.target:
            return image[0], (int(label) + changed) % 4
        return image[0] + changed * torch.rand((), generator=chance), int(label)


def session_on(images, **options):
    validation = Drawn(images.task.split("validation"), **options)
    train = Drawn(images.task.split("train"), lambda _: None)  # augmented, which is all right
    subject = wb.Subject("drawn", images.model, wb.Task(train=train, validation=validation))
    return wb.Session(subject, wb.Settings(seconds=0.0, runtimes=("eager",)), threaded=False, autosave=None)


@pytest.mark.parametrize("options", [{}, {"part": 0.5}, {"part": 0.5, "target": True}], ids=str)
def test_samples_that_change_by_themselves_are_refused(images, options):
    with pytest.raises(WorkbenchError, match=r"^validation sample \d+ is not the same when read twice"):
        session_on(images, chance=lambda _: None, **options)


def test_samples_that_are_drawn_by_their_number_are_the_same(images):
    session = session_on(images, chance=lambda number: torch.Generator().manual_seed(number))
    assert session.apply(wb.FineTune(epochs=1)).score.exact
    session.close()


class Boxes(Dataset):
    """Images with boxes, as detectors have them, that are moved by chance or not."""

    def __init__(self, moved):
        self.moved = moved

    def __len__(self):
        return 20

    def __getitem__(self, number):
        boxes = torch.tensor([[1.0, 1.0, 4.0, 4.0]]) + self.moved * torch.rand(())
        return torch.full((1, 6, 6), float(number)), {"boxes": boxes, "labels": torch.tensor([0])}


def test_targets_of_several_tensors_are_read_twice_too():
    check_steady(wb.Task(validation=Boxes(0.0), metric="map").split("validation"), "validation")
    with pytest.raises(WorkbenchError, match="validation sample 0 is not the same when read twice"):
        check_steady(wb.Task(validation=Boxes(1.0), metric="map").split("validation"), "validation")
