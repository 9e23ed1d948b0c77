import torch

from workbench.inspection import cosine_similarity, most_similar

WEIGHT = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, -1.0], [0.0, 0.0]])


def test_similarity_is_the_cosine():
    found = cosine_similarity(WEIGHT)
    assert found.shape == (5, 5)
    assert found[0, 2] == 1.0
    assert found[1, 3] == -1.0
    assert found[0, 1] == 0.0


def test_a_channel_of_zeros_is_like_no_other():
    assert cosine_similarity(WEIGHT)[4].abs().max() == 0.0


def test_pairs_come_by_absolute_cosine():
    first, second, *_ = most_similar(cosine_similarity(WEIGHT), 3)
    assert {(first.first, first.second), (second.first, second.second)} == {(0, 2), (1, 3)}
    assert len(most_similar(cosine_similarity(WEIGHT), 3)) == 3


def test_one_channel_has_no_pair():
    assert most_similar(cosine_similarity(torch.ones(1, 3))) == ()
