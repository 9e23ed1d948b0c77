"""The embedded subjects: what they are made of is split cleanly, and what is shipped scores what it says."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.loading.embedded import NAMES, build, names_data, scattered_data, train, weights_path
from workbench.loading.embedded.digits_data import CLASSES, COPIES, MEAN, SPLITS, STD, digits, normalise, originals
from workbench.loading.embedded.subjects import SUBJECTS, Training

EXPECTED_ORIGINALS = {"train": 1197, "validation": 300, "test": 300}
EXPECTED_PARAMS = {"digits-resnet": 272_186, "digits-transformer": 131_146}
# What a net that learnt something scores by its task's metric, and one that learnt the data by heart does not.
LEARNT = {
    "digits-resnet": (0.96, 0.99), "digits-transformer": (0.96, 0.99), "names-classifier": (0.4, 0.6),
    "names-language-model": (3.0, 3.8), "names-transliterator": (0.6, 0.8), "scattered-segmenter": (0.6, 1.0),
    "scattered-detector": (0.6, 1.0),
}  # fmt: skip
MOST_BYTES = 2_000_000


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_splits_share_no_original():
    every = np.concatenate([np.unique(originals(split)) for split in SPLITS])
    np.testing.assert_array_equal(np.sort(every), np.arange(1797))


@pytest.mark.parametrize("split", SPLITS)
def test_every_original_has_its_copies_with_its_label(split):
    from sklearn.datasets import load_digits

    images, labels = digits(split)
    assert images.shape == (EXPECTED_ORIGINALS[split] * COPIES, 1, 32, 32)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(labels, load_digits().target[originals(split)])
    index, count = np.unique(originals(split), return_counts=True)
    assert len(index) == EXPECTED_ORIGINALS[split]
    assert set(count) == {COPIES}
    assert not np.array_equal(images[0], images[len(index)])


def test_classes_are_dealt_in_proportion():
    shares = [np.bincount(digits(split)[1], minlength=len(CLASSES)) / COPIES for split in SPLITS]
    expected = sum(shares) / 6
    np.testing.assert_allclose(shares[1], expected, atol=1)
    np.testing.assert_allclose(shares[2], expected, atol=1)


def test_a_split_is_the_same_every_time_and_cannot_be_written_to():
    images, labels = digits("validation")
    digits.cache_clear()
    again, labels_again = digits("validation")
    np.testing.assert_array_equal(again, images)
    np.testing.assert_array_equal(labels_again, labels)
    with pytest.raises(ValueError, match=r"read-only"):
        again[0] = 0


def test_the_normalisation_is_that_of_train():
    images, _ = digits("train")
    np.testing.assert_allclose(images.mean() / 255, MEAN[0], atol=5e-4)
    np.testing.assert_allclose(images.std() / 255, STD[0], atol=5e-4)


def test_an_unknown_split_or_name_is_refused_with_those_there_are():
    with pytest.raises(WorkbenchError, match=r"'holdout'.*train, validation, test"):
        digits("holdout")
    with pytest.raises(WorkbenchError, match=r"'digits-vgg'.*digits-resnet"):
        build("digits-vgg")


@pytest.mark.parametrize("name", sampled(NAMES, 4))
def test_the_shipped_weights_score_what_their_file_says(name):
    with safe_open(weights_path(name), "pt") as file:
        facts = file.metadata()
    subject = build(name)
    assert facts["subject"] == name
    assert weights_path(name).stat().st_size < MOST_BYTES
    # A different rounding may flip a sample or two of 2,400.
    score = train.score(subject.model, subject.task, "validation")
    assert score == pytest.approx(float(facts["validation"]), abs=2.5 / 2400)
    low, high = LEARNT[name]
    assert low < float(facts["validation"]) < high


@pytest.mark.parametrize("name", NAMES)
def test_a_subject_is_trained_and_ready(name):
    subject = build(name)
    assert (subject.name, subject.source) == (name, name)
    assert not subject.model.training
    if name in EXPECTED_PARAMS:
        assert sum(p.numel() for p in subject.model.parameters()) == EXPECTED_PARAMS[name]
        assert subject.task.classes == CLASSES
    assert all(subject.task.has(split) for split in (*SPLITS, "calibration"))
    assert build(name).model is not subject.model


def test_the_task_normalises_as_the_training_did():
    (inputs,), labels = build("digits-transformer").task.split("validation").batch(range(64))
    images, expected = digits("validation")
    torch.testing.assert_close(inputs, normalise(images[:64]))
    np.testing.assert_array_equal(labels, expected[:64])


def test_the_transformer_exports_with_a_dynamic_batch():
    model = SUBJECTS["digits-transformer"].net().eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.randn(4, 1, 32, 32),), dynamic_shapes=({0: batch},))
    for count in (1, 7):
        x = torch.randn(count, 1, 32, 32)
        torch.testing.assert_close(program.module()(x), model(x))


def test_training_writes_the_same_weights_from_the_same_seed(tmp_path, monkeypatch, capsys):
    pixels, labels = train.originals_of("train")
    monkeypatch.setattr(train, "originals_of", lambda split: (pixels[:200], labels[:200]))
    short = dataclasses.replace(SUBJECTS["digits-transformer"], training=Training(epochs=1, rate=1e-3))
    monkeypatch.setitem(SUBJECTS, "digits-transformer", short)
    paths = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    for path in paths:
        train.main(["digits-transformer", "--out", str(path)])
    first, second = (load_file(path) for path in paths)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    printed = capsys.readouterr()
    assert "test 0." in printed.out
    assert "epoch 1: loss" in printed.err


def test_what_is_named_is_in_one_split_only():
    concepts = set().union(*(names_data.names(language) for language in names_data.LANGUAGES))
    parts = {split: {one for one in concepts if names_data.split_of(one) == split} for split in SPLITS}
    assert sum(map(len, parts.values())) == len(concepts)
    assert all(len(part) > 50 for part in parts.values())
    letters, languages = names_data.languages("validation")
    assert (letters.shape[1], len(languages.unique())) == (names_data.LONGEST, len(names_data.LANGUAGES))
    assert float((letters == names_data.UNKNOWN).double().mean()) < 0.005


def test_what_follows_a_letter_is_the_next_one():
    inputs, targets = names_data.next_letters("validation")
    counted = targets != names_data.IGNORED
    assert torch.equal(inputs[:, 1:][counted[:, 1:]], targets[:, :-1][counted[:, 1:]])
    assert bool((targets.masked_fill(~counted, -1).amax(1) >= 0).all())
    ends = targets[torch.arange(len(targets)), counted.sum(1) - 1]
    assert set(ends.tolist()) == {names_data.END}
    assert names_data.decode(inputs[0], names_data.LATIN).startswith("[")


def test_masks_boxes_and_digits_say_the_same():
    images, masks, boxes, digits_there = scattered_data.canvases("validation")
    assert (images.dtype, images.shape[1:]) == (torch.uint8, (1, scattered_data.SIDE, scattered_data.SIDE))
    for number in range(40):
        there = digits_there[number] >= 0
        assert bool(there[0])
        inside = torch.zeros_like(masks[number], dtype=torch.bool)
        for (left, top, right, bottom), digit in zip(
            boxes[number][there].int().tolist(), digits_there[number][there].tolist(), strict=True
        ):
            inside[top:bottom, left:right] = True
            assert set(masks[number, top:bottom, left:right].unique().tolist()) <= {0, 1 + digit}
        assert not bool(masks[number][~inside].any())
