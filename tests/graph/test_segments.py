"""A model run in parts gives what it gives as a whole, wherever it is cut and whatever its topology."""

import functools

import pytest
import torch

from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph import trace
from workbench.graph.segments import LAYOUTS, Segments
from workbench.model.twin import twin


@functools.cache
def traced(name):
    """Return a net, its example and its program, which takes longer to make than all that is done with it."""
    model, example = build(name)
    return model, example, trace(model, example)


each_net = pytest.mark.parametrize("name", sampled(sorted(NETS.keys() - {"two_outputs"}), 8))


def test_a_net_of_several_outputs_is_not_run_in_parts():
    model, example = build("two_outputs")
    with pytest.raises(WorkbenchError, match="gives several tensors"):
        Segments(trace(model, example))


def values_of(model):
    return {
        **{name: value.detach() for name, value in model.named_parameters(remove_duplicate=False)},
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def more_of(example, count=5):
    """Return inputs for another number of samples than the model was traced with."""
    generator = torch.Generator().manual_seed(3)
    return tuple(
        torch.randint(0, int(value.max()) + 1, (count, *value.shape[1:]), generator=generator)
        if not value.is_floating_point()
        else torch.randn(count, *value.shape[1:], generator=generator)
        for value in example
    )


def whole(segments, inputs, constants):
    return segments.run(segments.inputs, (segments.output,), segments.feed(inputs), constants)[0]


@each_net
def test_every_layout_gives_the_models_outputs(name):
    model, example, program = traced(name)
    inputs = more_of(example)
    with torch.no_grad():
        wanted = twin(model)(*inputs)
        for layout in LAYOUTS:
            segments = Segments(program, layout)
            got = whole(segments, inputs, segments.constants(values_of(model)))
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@each_net
def test_an_edit_of_any_parameter_needs_only_what_comes_after(name):
    """What enters at the border is the untouched model's; behind it runs the edited one."""
    model, example, program = traced(name)
    segments, inputs, values = Segments(program), more_of(example), values_of(model)
    constants = segments.constants(values)
    order = [name for name, value in model.named_parameters() if value.dim() > 1]
    lengths = []
    for changed in order:
        names = [alias for alias, value in values.items() if value.data_ptr() == values[changed].data_ptr()]
        edited = {**values, **dict.fromkeys(names, values[changed] * 0.5)}
        border = segments.border(names)
        with torch.no_grad():
            entering = segments.run(segments.inputs, border, segments.feed(inputs), constants)
            again = segments.constants(edited, constants, names)
            (got,) = segments.run(border, (segments.output,), entering, again)
            plain = twin(model, {changed: edited[changed]})
            torch.testing.assert_close(got, plain(*inputs), rtol=1e-4, atol=1e-4)
        assert all(len(value) == len(inputs[0]) for value in entering)
        assert segments.suffices(border, (segments.output,))
        lengths.append(segments.steps(border, (segments.output,)))
    assert lengths[-1] < lengths[0]  # the last layers have less behind them than the first


@each_net
def test_a_later_border_follows_from_an_earlier_one(name):
    model, example, program = traced(name)
    segments, inputs = Segments(program), more_of(example)
    constants = segments.constants(values_of(model))
    borders = list(dict.fromkeys(segments.border([key]) for key, value in model.named_parameters() if value.dim() > 1))
    fed = segments.feed(inputs)
    followed = 0
    for earlier in borders:
        for later in borders:
            if earlier != later and segments.suffices(earlier, later):
                with torch.no_grad():
                    start = segments.run(segments.inputs, earlier, fed, constants)
                    torch.testing.assert_close(
                        segments.run(earlier, later, start, constants),
                        segments.run(segments.inputs, later, fed, constants),
                        rtol=1e-4, atol=1e-4,
                    )  # fmt: skip
                followed += 1
    assert followed or len(borders) < 3


def test_without_a_change_only_the_output_is_needed():
    segments = Segments(trace(*build("plain")))
    assert segments.border(()) == (segments.output,)


def test_what_depends_on_a_parameter_is_named():
    model, example = build("plain")
    segments = Segments(trace(model, example))
    first, *_, last = [name for name, value in model.named_parameters() if value.dim() > 1]
    early, late = segments.depending([first]), segments.depending([last])
    assert segments.output in early & late
    assert len(late) < len(early)
    assert not segments.depending([])


class Writes(torch.nn.Module):
    """Writes into a value: one that nobody else sees, or a part of another's memory."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.first, self.second, self.shared = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2), shared

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if self.shared:
            y[:, :2].mul_(2.0)
        else:
            y.relu_()
            y += 1.0
        return self.second(y)


def test_writing_into_memory_becomes_pure_or_is_refused():
    example = (torch.randn(3, 4),)
    model = Writes(shared=False)
    segments = Segments(trace(model, example))
    constants, border = segments.constants(values_of(model)), segments.border(["second.weight"])
    with torch.no_grad():
        entering = segments.run(segments.inputs, border, example, constants)
        kept = [value.clone() for value in entering]
        torch.testing.assert_close(segments.run(border, (segments.output,), entering, constants)[0], model(*example))
    assert all(torch.equal(one, other) for one, other in zip(kept, entering, strict=True))
    with pytest.raises(WorkbenchError, match="writes into memory that others read"):
        Segments(trace(Writes(shared=True), example))


def test_a_fixed_batch_size_is_refused():
    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(4, 2)
            self.register_buffer("each", torch.randn(3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x + self.each)

    with pytest.raises(WorkbenchError, match="fixes its batch size"):
        Segments(trace(Fixed(), (torch.randn(3, 4),)))
