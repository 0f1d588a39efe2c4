"""Codes, overrides and how findings are shown."""

from __future__ import annotations

import re

import pytest

from drs_provider.readiness.findings import CODES, Finding, FindingsReport, override_problems

LAG = Finding.of("replication-lag", "The lag of db01 is 1h.", "Wait.", wave="database", server="s-1")
MISSING = Finding.of("hostname-ambiguous", "Two servers.", "Select by id.", wave="database", server="hostname db")
HINT = Finding.of("quotas-not-read", "Assumed defaults.", "Allow it.")


def test_codes_are_well_formed() -> None:
    for name, code in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert code.meaning.endswith(".")
        assert code.severity in ("error", "warning")


def test_every_code_is_made_by_some_check_and_no_other_is() -> None:
    from pathlib import Path

    import drs_provider.readiness.findings as module

    folder = Path(module.__file__).parent
    checks = [*(path for path in folder.glob("*.py") if path.name != "findings.py")]
    checks += folder.parent.glob("steps/*/checks.py")
    text = "".join(path.read_text() for path in checks)
    for code in CODES:
        assert f'"{code}"' in text, f"no check makes {code}"


def test_what_cannot_be_overridden() -> None:
    assert {name for name, code in CODES.items() if not code.overridable} == {
        "connection-missing",
        "account-mismatch",
        "service-not-initialised",
        "selection-empty",
        "hostname-ambiguous",
        "server-selected-twice",
        "replication-stopped",
        "no-snapshot-before",
        "snapshot-not-found",
        "recovered-instance-live",
        "drill-instance-live",
    }


def test_unknown_codes_are_refused() -> None:
    with pytest.raises(KeyError):
        Finding.of("no-such-code", "x", "y")


def test_overrides_count_in_a_recovery_only() -> None:
    drill = FindingsReport("drill", (LAG, HINT))
    assert drill.blocking(["replication-lag"]) == [LAG]
    assert drill.overridden(["replication-lag"]) == []
    recovery = FindingsReport("recovery", (LAG, HINT))
    assert recovery.blocking() == [LAG]
    assert recovery.blocking(["replication-lag"]) == []
    assert recovery.overridden(["replication-lag", "disconnected"]) == [LAG]


def test_some_things_cannot_be_overridden() -> None:
    report = FindingsReport("recovery", (LAG, MISSING))
    assert report.blocking(["replication-lag", "hostname-ambiguous"]) == [MISSING]


def test_warnings_never_block() -> None:
    assert FindingsReport("drill", (HINT,)).blocking() == []


def test_override_problems() -> None:
    assert override_problems(["replication-lag", "check-failed"]) == []
    problems = override_problems(["replication-lagg", "hostname-ambiguous"])
    assert len(problems) == 2
    assert "not a finding code" in problems[0]
    assert "cannot be overridden" in problems[1]


def test_one_message_has_every_finding() -> None:
    message = FindingsReport("recovery", (LAG, MISSING, HINT)).message(["replication-lag"])
    assert message.startswith("Not ready (recovery): 1 blocking, 1 overridden, 1 warnings.")
    for finding in (LAG, MISSING, HINT):
        assert finding.message in message
        assert finding.remedy in message


def test_the_table_keeps_its_width_and_loses_no_word() -> None:
    long = Finding.of("check-failed", "word " * 60, "Mend it.", wave="w", server="s-1")
    table = FindingsReport("drill", (LAG, long)).table(width=100)
    assert max(len(line) for line in table.splitlines()) <= 100
    assert table.count("word") == 60
    assert "The lag of db01 is 1h." in table
