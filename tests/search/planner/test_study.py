"""The sampler and its journal: what was told is there again after a kill, and a damaged file is set aside."""

from __future__ import annotations

import pytest

from workbench.cli.arguments import parser
from workbench.errors import WorkbenchError
from workbench.search.planner import Candidate
from workbench.search.planner.study import SAMPLERS, Journal, mend

KNOBS = {"depth": (0.0, 1.0), "rounding": ("nearest", "learned")}


def tell(sampler, count=8):
    asked = [sampler.ask({"depth": 0.5, "rounding": "learned"}), *(sampler.ask() for _ in range(count - 1))]
    for number, one in enumerate(asked):
        sampler.tell(one, [one.knobs["depth"]], 0.3 - one.knobs["depth"], {"number": number})
    return asked


def test_knobs_are_those_that_were_wanted_and_then_the_samplers(tmp_path):
    asked = tell(Journal(None).sampler("a", KNOBS, 1, 0))
    assert asked[0].knobs == {"depth": 0.5, "rounding": "learned"}
    assert all(0 <= one.knobs["depth"] <= 1 and one.knobs["rounding"] in KNOBS["rounding"] for one in asked)
    again = tell(Journal(None).sampler("a", KNOBS, 1, 0))
    assert [one.knobs for one in again] == [one.knobs for one in asked], "the same for the same seed"


def test_an_evolutionary_sampler_learns_from_what_was_told():
    with pytest.raises(WorkbenchError, match="there is no sampler 'guess'; there are tpe, evolutionary"):
        Journal(None, "guess")
    sampler = Journal(None, "evolutionary").sampler("a", {str(number): (0.0, 1.0) for number in range(6)}, 1, 0)
    sums = []
    for _ in range(96):
        asked = sampler.ask()
        sums.append(sum(float(value) for value in asked.knobs.values()))
        sampler.tell(asked, [sums[-1]], 1.5 - sums[-1])  # what is below that loses too much
    early, late = (sum(abs(one - 1.5) for one in part) / 24 for part in (sums[:24], sums[-24:]))
    assert late < 0.5 * early


def test_the_command_line_offers_every_sampler():
    for name in SAMPLERS:
        assert parser().parse_args(["search", "digits-resnet", "--sampler", name]).sampler == name


def test_a_later_search_knows_what_was_told(tmp_path):
    first = Journal(tmp_path).sampler("a", KNOBS, 1, 0)
    tell(first)
    first.ask()  # the process is killed while it looks at this one
    journal = Journal(tmp_path)
    assert [facts["number"] for facts in journal.known()] == list(range(8))
    sampler = journal.sampler("a", KNOBS, 1, 0)
    assert sampler.told == 8
    tell(sampler, 2)
    assert Journal(tmp_path).sampler("a", KNOBS, 1, 0).told == 10
    assert Journal(tmp_path).sampler("b", KNOBS, 1, 0).told == 0


def test_what_could_not_be_done_is_told_too(tmp_path):
    sampler = Journal(tmp_path).sampler("a", KNOBS, 2, 0)
    sampler.tell(sampler.ask(), None, 0.0, {"number": 1})
    sampler.tell(sampler.ask(), [1.0, 2.0], 0.0, {"number": 2})
    assert sampler.told == 1
    assert len(Journal(tmp_path).known()) == 2


def test_a_line_that_a_kill_cut_short_costs_only_itself(tmp_path):
    tell(Journal(tmp_path).sampler("a", KNOBS, 1, 0))
    path = tmp_path / "journal.log"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 5, "worker')
    journal = Journal(tmp_path)
    assert (len(journal.known()), journal.note) == (8, "")
    assert path.read_bytes() == whole
    mend(tmp_path / "nothing.log")


def test_a_damaged_journal_is_set_aside(tmp_path):
    path = tmp_path / "journal.log"
    path.write_text("this is no journal\n" * 3)
    journal = Journal(tmp_path)
    assert "set aside" in journal.note
    assert journal.known() == []
    tell(journal.sampler("a", KNOBS, 1, 0))
    assert len(Journal(tmp_path).known()) == 8
    assert path.with_suffix(".damaged").exists()


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file")
    assert "not kept" in journal.note
    tell(journal.sampler("a", KNOBS, 1, 0))


def test_two_processes_may_search_at_a_time(tmp_path):
    one, other = Journal(tmp_path).sampler("a", KNOBS, 1, 0), Journal(tmp_path).sampler("a", KNOBS, 1, 0)
    mine, yours = one.ask(), other.ask()
    Journal(tmp_path).sampler("a", KNOBS, 1, 0)
    one.tell(mine, [0.1], 0.0, {"number": 1})
    other.tell(yours, [0.2], 0.0, {"number": 2})
    assert [facts["number"] for facts in Journal(tmp_path).known()] == [1, 2]


def test_a_journal_that_is_gone_ends_nothing(tmp_path, monkeypatch):
    sampler = Journal(tmp_path).sampler("a", KNOBS, 1, 0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(sampler._study._storage), "create_new_trial", full)
    asked = sampler.ask()
    sampler.tell(asked, [asked.knobs["depth"]], 0.0, {"number": 1})
    assert sampler.told == 1


def test_numbers_that_are_none_are_no_candidate():
    facts = {"verdict": "meets", "origin": "known", "number": float("inf"), "steps": [], "costs": {}, "latency": {},
             "expected": None, "knobs": {}, "study": "", "seconds": 0.0, "reason": ""}  # fmt: skip
    with pytest.raises(WorkbenchError, match="no candidate"):
        Candidate.read(facts)
