"""Previews: in stages, the latest wins, and nothing stale is ever shown."""

import threading
import time
from dataclasses import replace

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.measure import refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.runtimes import eager
from workbench.session.live import Live
from workbench.session.preview import NARROW, EvaluationContext, stages
from workbench.steps import Context, FineTune, Prune, PruneChannels, Quantize, State, candidate


def bench_of(subject, state=None):
    state = state or State(subject.model)
    evaluator = Evaluator(subject.task.split("validation"), least=0.0)
    reference = refer(evaluator, State(subject.model), subject.task.metric)
    forward = eager.prepare(State(subject.model), ())
    return EvaluationContext(Context(subject), lambda: state, lambda: reference, evaluator, lambda: {"eager": forward})


@pytest.fixture(scope="module")
def bench(vectors):
    return bench_of(vectors)


STEPS = [Prune(amount=0.8), Prune(amount=1.0), Quantize(bits=3), PruneChannels(amount=0.5), Quantize(activations=8)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind} {getattr(step, 'activations', '')}")
def test_a_preview_ends_with_what_applying_gives(step, session):
    seen = list(stages(step, bench_of(session.subject)))
    assert [preview.stage for preview in seen] == sorted(preview.stage for preview in seen)
    assert {preview.stage for preview in seen} >= {0, 1, 2, 4}
    assert [preview.done for preview in seen] == [False] * (len(seen) - 1) + [True]
    found, last = session.apply(step), seen[-1]
    assert last.score == found.score
    assert last.bytes == found.bytes
    assert (last.params, last.nonzero, last.macs) == (found.params, found.nonzero, found.macs)
    assert last.notes == found.notes
    assert last.latency["eager"].verdict in ("faster", "slower", "within noise", "unknown")
    assert all(preview.score.half_width <= NARROW for preview in seen if preview.stage == 3)


def test_an_overlay_leaves_the_model_alone(vectors):
    before = {name: value.clone() for name, value in vectors.model.state_dict().items()}
    built, overlay = candidate(State(vectors.model), Prune(amount=0.9), Context(vectors))
    assert built.model is vectors.model
    assert overlay.keys() == {"0.weight", "3.weight", "5.weight"}
    inputs = vectors.task.example(16)
    real = Prune(amount=0.9).build(State(vectors.model), Context(vectors))
    torch.testing.assert_close(eager.prepare(built, inputs, overlay)(inputs), real.model(*inputs).detach())
    assert all(torch.equal(before[name], value) for name, value in vectors.model.state_dict().items())


def test_training_has_no_preview(bench):
    with pytest.raises(WorkbenchError, match="Fine-tune trains, so it has no preview"):
        list(stages(FineTune(), bench))


def steps_of(published):
    return [preview.step for preview in published if preview is not None]


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_the_latest_of_a_thousand_requests_wins_and_nothing_stale_is_shown(bench):
    threads = threading.active_count()
    published, seen_after = [], []
    live = Live(published.append)
    steps = [Prune(amount=number / 1000) for number in range(1000)]
    order = {step: number for number, step in enumerate(steps)}
    for step in steps:
        live.request(step, bench)
        seen_after.append(len(published))
        if order[step] % 100 == 0:
            time.sleep(0.02)
    wait_for(lambda: published and published[-1].done)
    assert published[-1].step == steps[-1]
    assert published[-1].score.exact
    for number, start in enumerate(seen_after):
        assert all(order[step] >= number for step in steps_of(published[start:]))
    assert len({preview.step for preview in published}) < 500
    assert threading.active_count() == threads + 1
    live.close()
    assert threading.active_count() == threads


def test_requests_of_many_threads_leave_one_winner(bench):
    published, live = [], None
    live = Live(published.append)
    steps = [[Prune(amount=(10 * one + number) / 100) for number in range(10)] for one in range(4)]

    def ask(own):
        for step in own:
            live.request(step, bench)

    threads = [threading.Thread(target=ask, args=(own,)) for own in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: published and published[-1] is not None and published[-1].done)
    assert published[-1].step in [own[-1] for own in steps]
    live.close()


def test_taking_back_ends_with_nothing_shown(bench):
    published = []
    live = Live(published.append)
    live.request(Prune(amount=0.5), bench)
    wait_for(lambda: published)
    live.cancel()
    count = len(published)
    time.sleep(0.2)
    assert published[-1] is None
    assert len(published) == count
    live.request(Prune(amount=0.6), bench)
    wait_for(lambda: published[-1] is not None and published[-1].done)
    live.close()


def test_what_cannot_be_done_is_said_and_the_next_goes_on(bench):
    published = []
    live = Live(published.append, threaded=False)
    live.request(Prune(layers="conv9"), bench)
    assert "no layer matches 'conv9'" in published[-1].error
    assert published[-1].done
    live.request(Prune(amount=0.1), bench)
    assert published[-1].error == ""
    assert published[-1].done


def test_a_defect_is_shown_with_its_traceback(bench):
    def broken():
        raise ZeroDivisionError("defect")

    published = []
    live = Live(published.append, threaded=False)
    live.request(Prune(), replace(bench, state=broken))
    assert "Traceback" in published[-1].error
    assert "ZeroDivisionError: defect" in published[-1].error


def test_a_listener_that_fails_does_not_stop_later_previews(bench):
    published = []

    def listen(preview):
        published.append(preview)
        if len(published) < 3:
            raise ValueError("a view broke")

    live = Live(listen)
    live.request(Prune(amount=0.3), bench)
    wait_for(lambda: published)
    time.sleep(0.05)
    live.request(Prune(amount=0.4), bench)
    wait_for(lambda: published[-1].done and published[-1].step == Prune(amount=0.4))
    live.close()
