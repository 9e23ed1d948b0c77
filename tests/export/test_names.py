"""Layers of any name: compressed, exported in every format, loaded again, and written up."""

import onnxruntime
import torch
from torch import nn

import workbench as wb
from tests.sampling import whole
from tests.subjects import vector_splits

# What ends a text in source, metadata, JSON, XML, HTML or a glob; characters that are no letters; keywords; long ones.
NAMES = (
    'a:b"c', "a'b\\c", " a b ", "a\nb\tc", "a,b;c", "{a}%s$d[e]*?", "<script>alert(1)</script>", "a\x00\x1b[2J\u202eb",
    "class", "weight", "]]>&amp;`|#--", "ünïﬁ", "x" * 300,
)  # fmt: skip


class Named(nn.Module):
    """Vectors [N, 10] to logits [N, 4] through layers of given names."""

    def __init__(self, names):
        super().__init__()
        self.first = nn.Linear(10, 16)
        self.layers = nn.ModuleDict({name: nn.Linear(16, 16) for name in names})
        self.last = nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for layer in self.layers.values():
            x = x + torch.relu(layer(x))
        return self.last(x)


def subject_of(*names):
    torch.manual_seed(0)
    train, validation, calibration = vector_splits((600, 200, 100))
    task = wb.Task(train=train, validation=validation, calibration=calibration)
    return wb.Subject("named", Named(names).eval(), task)


def test_layers_of_any_name_are_compressed_exported_and_loaded(tmp_path, open_session):
    session = open_session(subject_of(*NAMES))
    assert {layer.name for layer in session.subject_layers} >= {f"layers.{name}" for name in NAMES}
    session.extend([wb.Prune(amount=0.3), wb.PruneChannels(amount=0.25), wb.Quantize(bits=4)])
    assert session.current.nonzero < session.baseline.nonzero
    folder = session.export(tmp_path / "out")
    inputs = torch.ones(2, 10)
    expected = session.state.model(inputs)
    assert torch.equal(wb.load_model(folder)(inputs), expected)
    assert torch.equal(torch.export.load(folder / "model.pt2").module()(inputs), expected)
    ran = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"x": inputs.numpy()})[0]
    assert torch.allclose(torch.from_numpy(ran), expected, atol=1e-4)
    again = wb.load(folder, task=session.subject.task)
    assert sorted(coding.bits for coding in again.codings.values()) == [4] * (len(NAMES) + 2)
    assert list(again.model(inputs).flatten()) == list(expected.flatten())


@whole
def test_a_name_is_text_in_a_report(tmp_path, open_session):
    session = open_session(subject_of("<script>alert(1)</script>"))
    session.apply(wb.Prune(amount=0.3))
    session.sensitivity(wb.Prune(), (0.5,))
    page = session.report(tmp_path / "report.html").read_text("utf-8")
    assert "alert(1)" in page
    assert "<script>alert(1)</script>" not in page
