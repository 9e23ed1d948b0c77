import torch

from workbench.inspection import channels_of
from workbench.steps.context import Context


def test_channels_of_a_layer_come_with_their_importance(images):
    context = Context(images)
    groups = context.groups(images.model)
    (found,) = channels_of(images.model, groups, "hidden", "magnitude", context)
    assert (found.layers, found.consumers, found.count, found.fixed) == (("hidden",), ("fc",), 24, "")
    torch.testing.assert_close(
        torch.tensor(found.importance), images.model.hidden.weight.detach().abs().mean(1), check_dtype=False
    )
    assert "conv3" in channels_of(images.model, groups, "conv2", "magnitude", context)[0].layers
    assert channels_of(images.model, groups, "fc", "magnitude", context)[0].fixed
    assert channels_of(images.model, groups, "nosuch", "magnitude", context) == ()


def test_a_criterion_that_says_nothing_says_why(images):
    context = Context(images)
    (found,) = channels_of(images.model, context.groups(images.model), "hidden", "batchnorm", context)
    assert found.importance == ()
    assert found.unranked
