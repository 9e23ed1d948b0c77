"""Distillation: losses as the papers have them, what can be compared inside, and who teaches."""

import copy

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.model.twin import twin
from workbench.steps import Distill, Prune, PruneChannels, Quantize
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.decoupled import decoupled_targets
from workbench.steps.train.distill import attention_gap, compared, feature_gap
from workbench.steps.train.relations import relation_gap
from workbench.steps.train.taught import soft_targets
from workbench.steps.train.training import judge
from workbench.task.task import Task

CUT = PruneChannels(amount=0.5, layers="conv2, conv3, hidden")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_hot_soft_targets_are_the_difference_of_logits():
    # Hinton et al., equation 4: at high temperature, with logits of mean zero, the gradient is (z - v) / classes.
    mine, theirs = (drawn(6, 5, seed=seed) for seed in (1, 2))
    mine, theirs = (x - x.mean(1, keepdim=True) for x in (mine, theirs))
    mine.requires_grad_()
    soft_targets(mine, theirs, 1000.0).backward()
    torch.testing.assert_close(mine.grad, (mine.detach() - theirs) / 5 / 6, rtol=0.01, atol=1e-4)
    assert soft_targets(theirs, theirs, 4.0) == 0


def test_soft_targets_are_a_mean_over_tokens():
    mine, theirs = (drawn(3, 7, 5, seed=seed) for seed in (1, 2))
    torch.testing.assert_close(soft_targets(mine, theirs, 2.0), soft_targets(mine.view(21, 5), theirs.view(21, 5), 2.0))


def test_decoupled_targets_are_the_parts_of_soft_ones():
    # Zhao et al., equation 7: soft targets are both parts, the second weighed by what the teacher leaves to the others.
    mine, theirs = (drawn(1, 5, seed=seed) for seed in (1, 2))
    rest = 1 - float((theirs / 3.0).softmax(1)[0, 2])
    label = torch.tensor([2])
    torch.testing.assert_close(decoupled_targets(mine, theirs, label, 3.0, rest), soft_targets(mine, theirs, 3.0))
    assert decoupled_targets(mine, theirs, label, 3.0, 8.0) > decoupled_targets(mine, theirs, label, 3.0, 1.0)
    assert abs(decoupled_targets(theirs, theirs, label, 3.0, 8.0)) < 1e-6


def test_relations_know_neither_scale_nor_turn_nor_size():
    theirs = drawn(8, 6)
    turned = torch.linalg.qr(drawn(10, 6, seed=1))[0]
    mine = (theirs @ turned.T * 7 + 3).requires_grad_()
    gap = relation_gap(mine, theirs)
    assert gap < 1e-6
    gap.backward()
    assert bool(mine.grad.isfinite().all())
    assert relation_gap(drawn(8, 4, seed=2), theirs) > 0.1
    assert relation_gap(theirs[:2], theirs[:2]) == 0


def test_what_lost_channels_learns_relations_and_decoupled_classes(images):
    pruned = run(images, Recipe((CUT,)))
    step = Distill(epochs=3, learning_rate=0.02, match="relations", modules="conv2, hidden", targets="decoupled")
    taught = run(images, Recipe((CUT, step)))
    assert taught.notes == pruned.notes
    assert judge(taught.model, images.task) > judge(pruned.model, images.task) + 0.05


def test_decoupled_targets_need_classes(regression):
    with pytest.raises(WorkbenchError, match="decoupled by class, and the task has no classes"):
        run(regression, Recipe((Distill(targets="decoupled"),)))


def test_features_are_compared_relative_to_the_teachers():
    mine, theirs = (drawn(4, 3, 5, 5, seed=seed) for seed in (1, 2))
    torch.testing.assert_close(feature_gap(mine * 100, theirs * 100), feature_gap(mine, theirs))
    torch.testing.assert_close(feature_gap(torch.zeros_like(theirs), theirs), torch.tensor(1.0))


def test_attention_knows_neither_scale_nor_order_nor_number_of_channels():
    mine, theirs = (drawn(4, 6, 5, 5, seed=seed) for seed in (1, 2))
    gap = attention_gap(mine, theirs)
    assert 0 < gap < 2
    torch.testing.assert_close(attention_gap(mine.flip(1) * 7, theirs), gap)
    torch.testing.assert_close(attention_gap(torch.cat([mine, mine], 1), theirs), gap)
    assert attention_gap(theirs[:, :3].repeat(1, 2, 1, 1), theirs[:, :3]) < 1e-10


def test_what_was_pruned_stays_zero_and_the_score_recovers(images):
    pruned = run(images, Recipe((Prune(amount=0.9),)))
    taught = run(images, Recipe((Prune(amount=0.9), Distill(epochs=2, learning_rate=0.02, match="features"))))
    assert judge(taught.model, images.task) > judge(pruned.model, images.task) + 0.05
    for name in pruned.pruned:
        before, after = pruned.model.get_parameter(name), taught.model.get_parameter(name)
        assert torch.equal(before == 0, after == 0)
        assert not torch.equal(before, after)
    assert taught.notes == ()
    assert not any(module._forward_hooks for module in taught.model.modules())


def test_without_labels_the_labels_do_not_matter(images):
    train, validation = (images.task.split(split).batch(range(256)) for split in ("train", "validation"))
    states = []
    for labels in (train[1], (train[1] + 1) % 4):
        task = Task(train=(train[0][0], labels), validation=(validation[0][0], validation[1]))
        state = run(Subject("m", images.model, task), Recipe((Prune(amount=0.8), Distill(soft=1.0, epochs=1))))
        states.append(state.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_channels_that_went_leave_attention_but_no_features(images):
    features = run(images, Recipe((CUT, Distill(epochs=1, match="features"))))
    (note,) = features.notes
    assert note.startswith("features not compared with the teacher's (its shape differs): ")
    assert {"conv2", "bn2", "hidden"} <= set(note.rpartition(": ")[2].split(", "))
    assert {"conv1", "bn1", "fc"} & set(note.rpartition(": ")[2].split(", ")) == set()
    attention = run(images, Recipe((CUT, Distill(epochs=1, match="attention", modules="bn*, conv*"))))
    assert attention.notes == ()
    with pytest.raises(WorkbenchError, match=r"no features can be compared .*\(conv2: its shape differs"):
        run(images, Recipe((CUT, Distill(match="features", modules="conv2"))))


def test_a_container_is_its_last_module_and_a_repeated_one_is_left():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    model = nn.Sequential(inner, inner, nn.Linear(4, 2))
    taken, left = compared(copy.deepcopy(model), model, "*", "features", (drawn(2, 4),))
    assert taken == ["2"]
    assert left == dict.fromkeys(["0", "0.0", "0.1"], "it is called more than once")
    nested = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), nn.Linear(3, 2))
    assert compared(copy.deepcopy(nested), nested, "*", "features", (drawn(2, 4),)) == (["0", "0.0", "1"], {})


def test_a_regression_learns_the_values_of_its_teacher(regression):
    data = regression.task.split("validation").batch(range(200))[0]
    pruned = run(regression, Recipe((Prune(amount=0.5),)))
    taught = run(regression, Recipe((Prune(amount=0.5), Distill(soft=1.0, learning_rate=0.02, epochs=5))))
    with torch.no_grad():
        gaps = [float((state.model(*data) - regression.model(*data)).square().mean()) for state in (pruned, taught)]
    assert gaps[1] < gaps[0] / 2


def test_an_exported_model_teaches_as_the_same_model_does(images, open_session, tmp_path):
    session = open_session(images)
    folder = session.export(tmp_path / "teacher", ("safetensors",))
    start = Prune(amount=0.8)
    own, other = (
        run(images, Recipe((start, Distill(epochs=1, soft=1.0, teacher=teacher)))).model
        for teacher in ("", str(folder))
    )
    for name, value in own.named_parameters():
        torch.testing.assert_close(value, other.get_parameter(name), rtol=1e-3, atol=1e-4)


def test_a_teacher_that_cannot_teach_is_refused(images, vectors, open_session, tmp_path):
    with pytest.raises(WorkbenchError, match="is not a folder that export wrote"):
        run(images, Recipe((Distill(teacher=str(tmp_path / "none")),)))
    folder = open_session(vectors).export(tmp_path / "other", ("safetensors",))
    with pytest.raises(WorkbenchError, match=r"step 1 \(distill\): the teacher fails on the task's inputs"):
        run(images, Recipe((Distill(teacher=str(folder)),)))
    with pytest.raises(WorkbenchError, match="no module of the teacher matches 'layer9'; there are conv1"):
        run(images, Recipe((Distill(match="features", modules="layer9"),)))
    with pytest.raises(WorkbenchError, match="put distill before quantize"):
        run(images, Recipe((Quantize(), Distill())))


def test_a_module_that_stands_for_one_of_the_teachers_is_compared_with_it(images):
    teacher, example = twin(images.model), images.task.example(4)

    class Renamed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.first = inner.conv1

        def forward(self, x):
            return self.first(x)

    renamed = Renamed(images.model)
    taken, left = compared(renamed, teacher, "conv1", "features", example, {"conv1": "first"})
    assert (taken, left) == (["conv1"], {})
    assert compared(renamed, teacher, "conv1", "features", example) == ([], {"conv1": "it is not in the model"})
