import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.task.augmentation import AUGMENTATIONS, augmented, flipped, shifted


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_about_half_of_the_images_are_mirrored_and_the_others_stay():
    images = torch.arange(400 * 2 * 3 * 4.0).reshape(400, 2, 3, 4)
    found = flipped(images, chance())
    stay = (found == images).flatten(1).all(1)
    assert torch.equal(found[~stay], images[~stay].flip(3))
    assert 160 < int(stay.sum()) < 240


def test_every_image_is_a_window_of_itself_with_reflected_edges():
    images = torch.rand(64, 3, 16, 24, generator=chance())
    wide = torch.nn.functional.pad(images, (3, 3, 2, 2), mode="reflect")
    windows = {(up, left): wide[:, :, up : up + 16, left : left + 24] for up in range(5) for left in range(7)}
    found, places = shifted(images, chance()), set()
    for number in range(64):
        fits = [place for place, window in windows.items() if torch.equal(found[number], window[number])]
        assert len(fits) == 1
        places.update(fits)
    assert len(places) > 20  # of 35


def test_the_same_seed_changes_alike_and_another_does_not():
    images = torch.rand(16, 3, 16, 16, generator=chance())
    one, same, other = (shifted(images, chance(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTATIONS if kind != "none"])
def test_what_are_no_images_is_refused_and_other_inputs_stay(kind):
    images, tokens = torch.rand(4, 3, 16, 16), torch.arange(8).reshape(4, 2)
    _, same = augmented((images, tokens), kind, chance())
    assert same is tokens
    with pytest.raises(WorkbenchError, match=r"one input of images.*\(4, 2\)"):
        augmented((tokens,), kind, chance())


def test_none_leaves_everything_as_it_is():
    tokens = (torch.arange(8).reshape(4, 2),)
    assert augmented(tokens, "none", chance()) is tokens


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTATIONS if kind != "none"])
def test_images_are_not_moved_away_from_their_boxes_and_masks(kind):
    images, labels = torch.rand(4, 3, 16, 16), torch.arange(4)
    boxes = {"boxes": torch.rand(4, 2, 4), "labels": torch.zeros(4, 2)}
    for targets in (boxes, torch.zeros(4, 16, 16, dtype=torch.int64)):
        with pytest.raises(WorkbenchError, match="moves images and not their targets"):
            augmented((images,), kind, chance(), targets)
        assert augmented((images,), "none", chance(), targets)[0] is images
    augmented((images,), kind, chance(), labels)
    augmented((images,), kind, chance(), torch.eye(4))
