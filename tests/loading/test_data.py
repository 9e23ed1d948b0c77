"""Arrays and image folders as they lie on people's disks."""

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.errors import WorkbenchError
from workbench.loading.data import read_data, read_npz, read_task
from workbench.task.task import Task


def save(path, images, labels, **more):
    np.savez(path, images=images, labels=labels, **more)
    return path


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
    ],
)
def test_every_order_of_dimensions_becomes_channels_first(tmp_path, shape, wanted):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    got, labels, classes = read_npz(save(tmp_path / "d.npz", images, np.arange(5)))
    assert got.shape == wanted
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert classes == []
    pixel = got[2, 0, 3, 4]
    assert pixel == (images[2, 3, 4] if len(shape) == 3 else images[2, 3, 4, 0] if shape[3] < 4 else images[2, 0, 3, 4])


def test_a_slice_takes_some_and_class_names_come_along(tmp_path):
    path = save(tmp_path / "d.npz", np.arange(10.0).reshape(10, 1, 1), np.arange(10), classes=np.array(["a", "b"]))
    for text, wanted in (("[2:5]", [2, 3, 4]), ("[:3]", [0, 1, 2]), ("[7:]", [7, 8, 9]), ("", list(range(10)))):
        (images, labels), classes = read_data(f"{path}{text}")
        assert labels.tolist() == wanted
        assert images[:, 0, 0, 0].tolist() == wanted
        assert classes == ["a", "b"]


def test_bytes_are_normalised_and_floats_are_not(tmp_path):
    images = np.full((4, 3, 2, 2), 255, np.uint8)
    task = Task(
        validation=read_data(save(tmp_path / "d.npz", images, np.zeros(4)))[0], mean=[0.5, 0, 1], std=[0.5, 1, 2]
    )
    (inputs,), _ = task.split("validation").batch([0])
    assert inputs[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]
    floats = Task(validation=(images.astype(np.float32), np.zeros(4)), mean=[0.5, 0, 1], std=[0.5, 1, 2])
    assert floats.example()[0].max() == 255


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.zeros((2, 4, 4))}, "must hold 'images' and 'labels'; it holds images"),
        ({"x": np.zeros(2), "y": np.zeros(2)}, "it holds x, y"),
        ({}, "it holds nothing"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros((2, 1))}, "one number a sample"),
        ({"images": np.zeros((2, 4)), "labels": np.zeros(2)}, r"images must be \[N, H, W\]"),
    ],
)
def test_an_npz_without_what_is_needed_is_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(WorkbenchError, match=said):
        read_npz(tmp_path / "d.npz")


def test_files_that_are_no_npz_are_refused(tmp_path):
    (tmp_path / "d.npz").write_text("hello")
    np.save(tmp_path / "e.npy", np.zeros(3))
    (tmp_path / "f.npz").write_bytes(b"PK\x03\x04 but no more")
    (tmp_path / "g.npz").write_bytes(b"")
    for name in ("d.npz", "e.npy", "f.npz", "g.npz", "none.npz"):
        with pytest.raises(WorkbenchError, match=name.replace(".", r"\.")):
            read_data(tmp_path / name)


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_an_npz_with_objects_runs_no_code(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", images=np.array([Evil()], dtype=object), labels=np.zeros(1))
    with pytest.raises(WorkbenchError, match=r"cannot be read as \.npz"):
        read_npz(tmp_path / "d.npz")
    assert capsys.readouterr().out == ""


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(["ant", "bee"]):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            colour = (255 * label, 40 * number, 0)
            Image.new("RGB", (20 + number, 30), colour).save(tmp_path / "pictures" / name / f"{number}.png")
    Image.new("L", (9, 9), 128).save(tmp_path / "pictures" / "bee" / "grey.JPG")
    (tmp_path / "pictures" / "bee" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_a_folder_of_images_has_a_class_for_each_folder(folder):
    task = read_task(validation=str(folder), size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    data = task.split("validation")
    assert len(data) == 7
    assert task.classes == ("ant", "bee")
    (inputs,), labels = data.batch(range(7))
    assert inputs.shape == (7, 3, 16, 16)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert inputs[3, :, 0, 0].tolist() == [1.0, -1.0, -1.0]
    torch.testing.assert_close(inputs[6, :, 5, 5], torch.full((3,), 128 / 255 * 2 - 1))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(WorkbenchError, match="holds no images"):
        read_data(tmp_path / "empty")


def test_a_broken_image_is_named(folder):
    (folder / "ant" / "0.png").write_bytes(b"\x89PNG broken")
    task = read_task(validation=str(folder), size=16)
    with pytest.raises(WorkbenchError, match=r"ant/0\.png cannot be read as an image"):
        task.split("validation").batch([0])


def test_without_data_nothing_can_be_judged():
    with pytest.raises(WorkbenchError, match=r"no data to judge.*validation='data\.npz'"):
        read_task(validation=None)
