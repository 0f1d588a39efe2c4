"""The report's section on gates: who passed each, and that a run which went around one did not recover."""

from __future__ import annotations

from typing import Any

import pytest

from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.verdict import verdict

CONFIRM = {
    "gate": "confirm",
    "where": "recovery",
    "required": True,
    "asks": True,
    "state": "passed",
    "by": ["alice", "bo*b*"],
    "at": "2026-11-21T11:00:05+00:00",
    "reason": None,
}
PREFLIGHT = {"gate": "preflight", "where": "preflight", "required": True, "asks": False, "state": "passed", "by": []}


def test_gates_that_were_passed_change_nothing(drill: Any) -> None:
    before = drill.record()
    drill.facts["gates"] = [CONFIRM, PREFLIGHT]
    record = drill.record()
    assert (record.run.state, record.rto) == (before.run.state, before.rto)
    assert record.run.state == "success"
    text = render_markdown(record)
    assert "## Gates" in text
    assert "alice, bo\\*b\\*" in text
    page = render_html(record)
    assert 'id="gates"' in page
    assert "alice, bo*b*" in page


@pytest.mark.parametrize("state", ["marked by hand", "not passed"])
def test_a_run_that_went_around_a_gate_did_not_recover(drill: Any, state: str) -> None:
    around = {**CONFIRM, "state": state, "by": [], "at": None, "reason": "it left no record"}
    drill.facts["gates"] = [around, PREFLIGHT]
    record = drill.record()
    assert (record.run.state, record.recovered) == ("failed", None)
    assert (record.rto.achieved_seconds, record.rto.met) == (None, False)
    assert record.rpo.met is not True
    found = verdict(record)
    assert found.title == "Not recovered"
    assert "it left no record" in found.detail
    for text in (render_markdown(record), render_html(record)):
        assert state in text
        assert "Recovered in" not in text


def test_a_gate_that_was_not_needed_is_no_fault(drill: Any) -> None:
    drill.facts["gates"] = [CONFIRM, {**PREFLIGHT, "gate": "app.approve", "required": False, "state": "not required"}]
    assert drill.record().run.state == "success"


def test_a_broken_glass_stands_at_the_top(drill: Any) -> None:
    broken = {**CONFIRM, "state": "break glass", "by": ["olga"], "reason": "nobody <b>answers</b>"}
    drill.facts["gates"] = [broken, PREFLIGHT]
    record = drill.record()
    assert record.run.state == "success"
    text, page = render_markdown(record), render_html(record)
    assert text.index("BREAK GLASS") < text.index("## Waves")
    assert "nobody &lt;b\\>answers" in text
    assert page.index("BREAK GLASS") < page.index('id="timeline"')
    assert "nobody &lt;b&gt;answers" in page


def test_what_cannot_be_read_is_left_out(drill: Any) -> None:
    drill.facts["gates"] = ["nonsense", {"gate": 1}, CONFIRM]
    assert [gate.gate for gate in drill.record().gates] == ["confirm"]
