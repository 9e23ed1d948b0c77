import json

import pytest
import torch

import workbench as wb
from tests.report.nets import NAME
from workbench.errors import WorkbenchError
from workbench.report import pack, read, unpack
from workbench.report.sections.replay import replay_code
from workbench.session.layer_facts import _threshold


def test_the_record_is_plain_json(record):
    assert json.loads(json.dumps(record)) == json.loads(json.dumps(json.loads(json.dumps(record))))
    assert record["subject"]["name"] == NAME
    assert record["steps"][0]["title"] == "Prune weights, amount 0.5"
    assert [state["role"] for state in record["states"]] == ["baseline", "other", "current"]


def test_layers_are_told_before_and_after(record):
    row = record["layers"][0]
    assert row["before"]["nonzero"] == 96
    assert row["after"]["nonzero"] <= 48
    assert row["before"]["bits"] == 32
    assert row["after"]["bits"] == 4


def test_weights_have_the_grid_they_were_rounded_to(record):
    row = record["weights"][0]
    assert len(row["grid"]) == 15
    assert row["before"]["edges"] == row["after"]["edges"]
    assert sum(row["after"]["counts"]) == 96


def test_what_is_protected_has_its_reason(record):
    assert any(group["protected"] for group in record["groups"]["groups"])


def test_a_threshold_is_told_only_where_there_is_one():
    before = torch.tensor([0.1, -0.2, 0.3, 0.4])
    assert _threshold(before, torch.tensor([0.0, 0.0, 0.3, 0.4])) == pytest.approx(0.2)
    assert _threshold(before, torch.tensor([0.1, -0.2, 0.0, 0.4])) is None
    assert _threshold(before, before) is None


def test_a_record_is_packed_and_unpacked(record):
    assert unpack(pack(record)) == json.loads(json.dumps(record))


@pytest.mark.parametrize("text", ["", "abc", '{"format": "other"}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(WorkbenchError, match="record"):
        read(tmp_path / "x.json")
    with pytest.raises(WorkbenchError, match="damaged"):
        unpack("no such packing")


def test_replay_code_compiles_and_names_every_step(record):
    code = replay_code(record)
    compile(code, "replay", "exec")
    assert "session.apply(wb.Quantize(bits=4, granularity='tensor'))" in code or "wb.Quantize(" in code
    assert repr(NAME) in code


def test_replay_code_loads_an_embedded_subject(record):
    facts = {**record, "subject": {**record["subject"], "source": "digits-resnet"}}
    assert "subject = wb.load('digits-resnet')" in replay_code(facts)


def test_a_report_says_what_people_said_of_states(session, tmp_path):
    session.apply(wb.Prune(amount=0.3))
    session.apply(wb.Prune(amount=0.6))
    session.label(1, name="too large", deleted=True)
    session.label(2, name="ship <it>", note="half the file, nothing lost", star=True)
    text = session.report(tmp_path / "report.md").read_text()
    assert "too large" not in text
    assert "half the file, nothing lost" in text.split("##")[0]
    assert "★ ship" in text
    assert "<it>" not in text
