"""Which notifiers a plan may name, and what one can do to the process that imports it: nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from drs_provider.notifications import channels
from drs_provider.notifications.channels import UnusableNotifierError, notifier_class
from drs_provider.notifications.delivery import deliver, deliver_async
from drs_provider.notifications.message import Message
from drs_provider.readiness.notifiers import check_notifiers

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def allow(monkeypatch: pytest.MonkeyPatch, patterns: str) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", patterns)


def test_by_default_no_notifier_is_allowed_and_none_is_imported(
    modules: Path, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", raising=False)
    mark = modules / "imported"
    (modules / "leaky.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    for path in ("leaky.Pager", SMTP):
        channel = {"notifier": path, "args": {"files": ["/proc/self/environ"]}}
        for (delivery,) in (
            deliver(message, [channel], {}, aws_conn_id=None),
            asyncio.run(deliver_async(message, [channel], {}, aws_conn_id=None)),
        ):
            assert delivery.status == "failed"
            assert "not allowed by [drs_provider] notifiers" in str(delivery.reason)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        ("airflow.providers.smtp.*", True),
        ("airflow.providers.slack.*, airflow.providers.smtp.notifications.smtp.SmtpNotifier", True),
        ("airflow.providers.slack.* shop.*", False),
        ("AIRFLOW.providers.smtp.*", False),
    ],
)
def test_the_setting_holds_patterns_of_dotted_paths(
    patterns: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, patterns)
    if allowed:
        assert notifier_class(SMTP).__name__ == "SmtpNotifier"
    else:
        with pytest.raises(UnusableNotifierError, match="not allowed"):
            notifier_class(SMTP)


IMPORTS = {
    "exits": "raise SystemExit(3)",
    "interrupts": "raise KeyboardInterrupt",
    "breaks": "raise RuntimeError('no licence')",
    "recurses": "def f(): f()\nf()",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_a_module_that_breaks_at_import_breaks_nothing_else(
    name: str, modules: Path, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker, the triggerer's event loop and preflight: each goes on with a failed delivery or a warning."""
    allow(monkeypatch, "site_*")
    path = f"site_{name}.Pager"
    (modules / f"site_{name}.py").write_text(IMPORTS[name])
    (delivery,) = deliver(message, [{"notifier": path}], {}, aws_conn_id=None)
    assert (delivery.status, "cannot be imported" in str(delivery.reason)) == ("failed", True)

    async def in_the_triggerer() -> tuple[Any, str]:
        other = asyncio.create_task(asyncio.sleep(0.01, "another run's trigger"))
        (told,) = await deliver_async(message, [{"notifier": path}], {}, aws_conn_id=None)
        return told, await other

    told, other = asyncio.run(in_the_triggerer())
    assert (told.status, other) == ("failed", "another run's trigger")
    (finding,) = check_notifiers([path])
    assert (finding.code, finding.severity) == ("notifier-unusable", "warning")


def test_the_import_of_a_standard_program_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, "*")
    monkeypatch.setattr("sys.argv", ["unittest", "drs_no_such_module"])
    with pytest.raises(UnusableNotifierError, match=r"unittest\.__main__\.X cannot be imported"):
        notifier_class("unittest.__main__.X")


def test_an_import_that_hangs_is_given_up(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, "site_*")
    monkeypatch.setattr(channels, "IMPORT_PATIENCE", 0.2)
    (modules / "site_hangs.py").write_text("import time\ntime.sleep(20)\n")
    begun = time.monotonic()
    with pytest.raises(UnusableNotifierError, match=r"it took more than 0\.2 s"):
        notifier_class("site_hangs.Pager")
    assert time.monotonic() - begun < 15


def test_a_notifier_that_exits_while_it_is_made_is_a_failed_delivery(
    modules: Path, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, "site_*")
    (modules / "site_made.py").write_text(
        "from airflow.sdk import BaseNotifier\n"
        "class Pager(BaseNotifier):\n"
        "    def __init__(self): raise SystemExit(1)\n"
        "    def notify(self, context): pass\n"
    )
    (delivery,) = asyncio.run(deliver_async(message, [{"notifier": "site_made.Pager"}], {}, aws_conn_id=None))
    assert (delivery.status, "tried to end the process" in str(delivery.reason)) == ("failed", True)
