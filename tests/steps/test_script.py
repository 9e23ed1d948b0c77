"""A session as Python: run, it gives the same session."""

from workbench.session.session import Session, Settings
from workbench.steps import Prune, Quantize
from workbench.steps.script import replay_script


def test_the_script_gives_the_same_state(images, open_session):
    session = open_session(images, Settings(seconds=0.02, seed=7))
    session.apply(Prune(amount=0.6, layers="conv*"))
    session.apply(Quantize(bits=4))
    names = {"model": images.model, "task": images.task}
    exec(session.code(), names)  # noqa: S102  # the text under test
    again = names["session"]
    assert isinstance(again, Session)
    assert again.recipe == session.recipe
    assert again.settings == session.settings
    assert again.current.bytes == session.current.bytes
    again.close()


def test_where_the_subject_comes_from_is_said():
    assert "wb.load('digits-resnet')" in replay_script("digits-resnet", "digits-resnet", {}, ())
    assert "wb.load('timm:x', task=task)" in replay_script("x", "timm:x", {}, ())
    assert "wb.Subject('my net', model, task)" in replay_script("my net", "", {}, ())
