"""Arrays and image folders as they lie on people's disks."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.errors import WorkbenchError
from workbench.loading import npz
from workbench.loading.data import read_data, read_npz, read_task
from workbench.task.sources import samples
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


def test_several_images_are_read_as_each_alone(folder):
    data, _ = read_data(folder, size=8)
    together = data.__getitems__(list(range(len(data))))
    for place, (pixels, label) in enumerate(together):
        alone, same = data[place]
        assert torch.equal(pixels, alone)
        assert label == same
    inputs, targets = samples(data).batch([1, 0])
    assert torch.equal(inputs[0], torch.stack([data[1][0], data[0][0]]))
    assert targets.tolist() == [data[1][1], data[0][1]]


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


def test_numbers_in_the_other_order_of_bytes_are_read(tmp_path):
    images = np.random.default_rng(0).random((5, 8, 9)).astype(">f4")
    path = save(tmp_path / "d.npz", images, np.arange(5, dtype=">i8"), classes=np.array([b"a", b"b", b"c", b"d", b"e"]))
    got, labels, classes = read_npz(path)
    assert got.dtype.isnative
    assert (got[:, 0] == images).all()
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert classes == ["a", "b", "c", "d", "e"]
    read_task(validation=path).split("validation").batch([0])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.ones((2, 4, 4)), "labels": np.array(["a", "b"])}, "labels must be numbers, not <U1"),
        ({"images": np.full((2, 4, 4), "a"), "labels": np.arange(2)}, "images must be numbers"),
        ({"images": np.ones((2, 4, 4), np.complex64), "labels": np.arange(2)}, "complex64"),
        ({"images": np.ones((2, 4, 4)), "labels": np.array(3)}, "one number a sample"),
        ({"images": np.ones(()), "labels": np.arange(2)}, "images must be"),
        ({"images": np.ones((2, 4, 4)), "labels": np.arange(2), "classes": np.array("a")}, "one name a class"),
        ({"images": np.ones((2, 4, 4), "M8[s]"), "labels": np.arange(2)}, "neither plain numbers nor text"),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(WorkbenchError, match=said):
        read_npz(tmp_path / "d.npz")


def packed(path, how=zipfile.ZIP_STORED, mark=None, **members):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    made = bytearray(path.read_bytes())
    if mark is not None:
        place, value = mark
        made[made.find(b"PK\x01\x02") + place] = value
    path.write_bytes(bytes(made))
    return path


def array(shape, descr="<f4", data=b""):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


LABELS = array((2,), "<i8", bytes(16))


def test_archives_packed_in_any_way_that_python_knows_are_read(tmp_path):
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = packed(tmp_path / "d.npz", how, images=array((2, 3, 3), "|u1", bytes(18)), labels=LABELS)
        assert read_npz(path)[0].shape == (2, 1, 3, 3)


@pytest.mark.parametrize(
    ("mark", "said"), [((8, 1), "encrypted"), ((10, 99), r"cannot be read as \.npz"), ((24, 255), r"d\.npz")]
)
def test_archives_that_are_encrypted_or_lie_are_refused(tmp_path, mark, said):
    with pytest.raises(WorkbenchError, match=said):
        read_npz(packed(tmp_path / "d.npz", mark=mark, images=array((2, 3, 3), "|u1", bytes(18)), labels=LABELS))


@pytest.mark.parametrize("shape", [(2**40, 4, 4), (2**62, 2**62), (-1, 4, 4), (2, 3, 4)])
def test_a_shape_that_is_not_there_is_refused_before_memory_is_taken(tmp_path, shape):
    with pytest.raises(WorkbenchError, match="not what it holds"):
        read_npz(packed(tmp_path / "d.npz", images=array(shape, data=bytes(18)), labels=LABELS))


def test_a_small_archive_of_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "BYTES", 1 << 20)
    images = array((2**26,), "|u1") + bytes(2**26)
    with pytest.raises(WorkbenchError, match="claims 64 MiB"):
        read_npz(packed(tmp_path / "d.npz", zipfile.ZIP_DEFLATED, images=images, labels=LABELS))
