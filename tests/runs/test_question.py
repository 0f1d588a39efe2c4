"""What approvers see: everything that the decision rests on, and nothing of it as markup."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import pytest

from drs_provider.runs.custody import Answer
from drs_provider.runs.question import escaped, question
from drs_provider.runs.recovery_run import RecoveryRun
from drs_provider.steps.preflight.event import PreflightEvent
from tests.dag.plans import loaded_plan

APPROVAL = {"message": "Is the site [lost](http://evil.example)?", "approvers": ["alice", "bob"], "count": 2}
PLAN = loaded_plan(
    {
        "name": "db",
        "servers": [{"hostname": "db-1"}, {"group": "standby"}],
        "post_launch": [{"name": "promote", "automation": "Promote"}],
    },
    {"name": "web", "depends_on": ["db"], "servers": [{"tags": {"Tier": "web"}}], "description": "The <b>shop</b>"},
    {"name": "mail", "servers": [{"id": "s-00000000000000009"}]},
    description="Orders | and ![pictures](http://evil.example/x.png)",
    protection_groups={"standby": {"servers": ["s-00000000000000002"]}},
    recovery={"approval": APPROVAL},
)


def asked(wave: int | None = None, **more: Any) -> str:
    parameters = {
        "mode": "recovery",
        "confirm": "shop",
        "waves": ["db", "web"],
        "snapshot_time": "2026-11-23T06:00:00+00:00",
        "skip_scripts": True,
        "override": {"findings": ["replication-lag"], "reason": "the *site* is gone"},
    }
    run = RecoveryRun.from_parameters("shop", "manual__1", parameters)
    approval = PLAN.plan.recovery.approval
    assert approval is not None
    chosen = PLAN.plan.waves[wave] if wave is not None else None
    return question(PLAN, run, approval=approval, wave=chosen, started_by="carol", **more)


def test_it_shows_what_the_decision_rests_on() -> None:
    text = asked(needed=2, given=[Answer(name="alice", at=datetime.now(timezone.utc))], glass=True)
    for part in (
        "**REAL RECOVERY** of **shop** into us-west-2",
        "Started by: carol",
        "Waves: db, web; without mail",
        "as of 2026-11-23T06:00:00+00:00",
        "Scripts that are **skipped**: promote",
        "**overridden**: replication-lag, because: the \\*site\\* is gone",
        "- db: db-1, group standby (s-00000000000000002)",
        "- web: all with Tier=web",
        f"hash {PLAN.hash[:12]}",
        "Approvers: alice, bob, but not the person who started the run",
        "2 people have to approve, each in turn. So far: alice",
        "*Break glass* goes on without",
    ):
        assert part in text, part
    assert "mail: " not in text, "the wave is not selected"


def test_it_shows_what_preflight_found() -> None:
    finding = {"severity": "error", "code": "replication-lag", "message": "db-1 lags by 2h"}
    resolved = {"db": [{"hostname": "db-1", "id": "s-00000000000000001"}]}
    at = "2026-11-23T06:00:00+00:00"
    preflight = PreflightEvent.model_validate(
        {"findings": [finding], "overridden": ["replication-lag"], "started": at, "ended": at, "status": "success"}
    )
    text = asked(0, resolved=resolved, preflight=preflight)
    assert "- db: db-1 (s-00000000000000001)" in text
    assert "- error replication-lag, overridden: db-1 lags by 2h" in text
    assert "web: " not in text, "the question is of one wave"


def test_many_servers_are_counted() -> None:
    found = [{"hostname": f"h{number}", "id": f"s-{number:017d}"} for number in range(70)]
    assert ", and 20 more" in asked(0, resolved={"db": found})


@pytest.mark.parametrize(
    "text",
    [
        "[a](http://evil.example)",
        "![a](x)",
        "<img src=x>",
        "`code`",
        "www.evil.example",
        "WWW.evil.example",
        "https://evil.example",
        "a@evil.example",
        "one\n# two",
        "one\r\n- two",
        "a\u202eb",
        "a\x1b[31mb",
        "| a | b |",
    ],
)
def test_nothing_of_it_is_markup(text: str) -> None:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    shown = escaped(text)
    tokens = parser.parse(f"- About: {shown}")
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "text_special"}, inline
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert not re.search(r"(?<!\\)(://|@)|www\.", shown, re.IGNORECASE), "a bare address would be a link"
