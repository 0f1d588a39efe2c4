"""The judge of people and time is judged: each thing that must not be is planted once, and seen."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import tests.chaos.people_judge as people_judge
from drs_provider.plan import RecoveryPlan
from drs_provider.simulator.simulation import Simulation
from drs_provider.tasks import recovery_work as base
from tests.chaos.cases import REGION
from tests.chaos.in_process import quick_aws
from tests.chaos.people import Teller, one_clock, tell
from tests.chaos.people_judge import Custody, Judge, live_instances

DB, WEB = "s-00000000000000001", "s-00000000000000002"
PLAN = RecoveryPlan.model_validate(
    {
        "version": 1,
        "name": "shop",
        "target": {"region": REGION},
        "recovery": {"approval": {"approvers": ["carol", "dave"]}},
        "waves": [
            {"name": "db", "servers": [{"id": DB}], "approval": {"approvers": ["carol", "dave"]}},
            {"name": "web", "servers": [{"id": WEB}], "on_failure": "rollback"},
        ],
    }
)


class Site:
    """AWS and its judge, with a run that may launch."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.judge = Judge(self.found.append)
        self.drs = boto3.client("drs", REGION)

    def run(self, mode: str = "recovery", **changes: Any) -> Custody:
        healthy: dict[str, Any] = {
            "passed": {"confirm": True, "preflight": True},
            "answered": {"confirm": {"carol"}, "db.approve": {"dave"}},
            "now_running": "db.launch",
        }
        custody = Custody(PLAN, changes.pop("installation", "north"), {"mode": mode}, **{**healthy, **changes})
        self.judge.all.append(custody)
        return custody

    def launch(self, run: Custody | None = None, server: str = DB, **changes: Any) -> None:
        """Launch a server as a run does, or as somebody in the console does, and wait until it is up."""
        call: dict[str, Any] = {"sourceServers": [{"sourceServerID": server}], "isDrill": run is not None}
        if run is not None:
            call |= {"isDrill": run.is_drill, "tags": run.tags}
        with self.by(run), contextlib.suppress(ClientError):
            self.drs.start_recovery(**{**call, **changes})
        time.sleep(1800)

    def terminate(self, run: Custody, task: str) -> None:
        run.now_running = task
        ids = [one.id for one in live_instances()]
        assert ids
        with self.by(run):
            self.drs.terminate_recovery_instances(recoveryInstanceIDs=ids)

    def by(self, run: Custody | None) -> Any:
        return self.judge.acting(run) if run else contextlib.nullcontext()


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    servers = [{"id": DB, "hostname": "db01"}, {"id": WEB, "hostname": "web01"}]
    drs_simulator.load({"region": REGION, "servers": servers}, speed=1)
    site = Site()
    with quick_aws(monkeypatch), site.judge.watching(monkeypatch):
        yield site


def test_what_is_right_is_not_noted(site: Site) -> None:
    drill, other = site.run("drill"), site.run("recovery", installation="south")
    site.launch(drill)
    site.terminate(drill, "terminate")
    time.sleep(600)
    site.launch(other, WEB)
    other.up["web"] = time.time()
    other.unwound = [(time.time(), "dave")]
    site.terminate(other, "web.rollback")
    site.judge.nothing_unnamed()
    assert site.found == []


def test_anybody_approves_a_rollback_where_the_plan_names_no_approvers(site: Site) -> None:
    run = site.run(up={"web": 1.0}, now_running="web.launch")
    run.plan = PLAN.model_copy(update={"recovery": PLAN.recovery.model_copy(update={"approval": None})})
    assert "nobody who may has approved" in str(run.why_not_unwind("web"))
    run.unwound = [(2.0, "alice")]
    assert run.why_not_unwind("web") is None
    run.plan = PLAN
    assert "nobody who may has approved" in str(run.why_not_unwind("web"))


def _console_first(site: Site, mode: str) -> None:
    site.launch(None, isDrill=False)
    site.launch(site.run(mode))


def _drill_over_drill(site: Site) -> None:
    site.launch(site.run("drill", installation="south"))
    site.launch(site.run("drill"))


def _terminate_real(site: Site, task: str, **changes: Any) -> None:
    run = site.run(**changes)
    site.launch(run, DB)
    site.terminate(run, task)


def _terminate_anothers_drill(site: Site) -> None:
    site.launch(site.run("drill", installation="south"))
    site.terminate(site.run("drill"), "terminate")


def _terminate_real_in_drill(site: Site) -> None:
    site.launch(None, isDrill=False)
    site.terminate(site.run("drill"), "terminate")


def _send(site: Site) -> None:
    run = site.run(closed=("failed", time.time()), now_running="db.post_launch.dns")
    with site.by(run), contextlib.suppress(ClientError):
        boto3.client("ssm", REGION).start_automation_execution(DocumentName="Dns")


def _delete_record(site: Site) -> None:
    site.launch(None, isDrill=False)
    with site.by(site.run("drill")), contextlib.suppress(ClientError):
        site.drs.delete_recovery_instance(recoveryInstanceID=live_instances()[0].id)


def _changed(**changes: Any) -> Callable[[Site], None]:
    return lambda site: site.launch(site.run(**{key: one() if callable(one) else one for key, one in changes.items()}))


CALLS: dict[str, Callable[[Site], None]] = {
    "confirm was never passed": _changed(passed={"preflight": True}),
    "preflight was never passed": _changed(passed={"confirm": True}),
    "1 people who may have to approve the recovery, and {'mallory'} did": _changed(
        answered={"confirm": {"mallory"}, "db.approve": {"dave"}}
    ),
    "1 people who may have to approve the recovery, and {'carol'} did": _changed(starter="carol"),
    "2 people who may have to approve the recovery, and {'carol'} did": _changed(cleared_at_confirm=True),
    "1 people who may have to approve db, and None did": _changed(mode="drill", answered={}),
    "the run is closed (success)": _changed(closed=lambda: ("success", time.time())),
    "the run is closed (failed)": _changed(closed=lambda: ("failed", time.time() - 200000)),
    "the schedule wanted it long ago": _changed(mode="drill", late=True),
    "a drill started the other kind of launch": lambda site: site.launch(site.run("drill"), isDrill=False),
    "a launch without the tags of its run": lambda site: site.launch(site.run(), tags={"drs-provider:run": "x"}),
    f"{DB} was launched over a live real instance": lambda site: _console_first(site, "drill"),
    f"{DB} was launched over the live instance of another drill": _drill_over_drill,
    "StartAutomationExecution by db.post_launch.dns, although the run is closed": _send,
    "by terminate: it is no rollback": lambda site: _terminate_real(site, "terminate"),
    "by db.rollback: the wave was up, and nobody who may has approved": lambda site: _terminate_real(
        site, "db.rollback", up={"db": 1.0}, unwound=[(2.0, "mallory")]
    ),
    "by db.rollback: the run is closed (success)": lambda site: _terminate_real(
        site, "db.rollback", closed=("success", 1.0)
    ),
    "a drill of another run, by terminate": _terminate_anothers_drill,
    "TerminateRecoveryInstances of the real": _terminate_real_in_drill,
    "db.launch deletes the record of": _delete_record,
}


@pytest.mark.parametrize("violation", CALLS)
def test_each_call_that_must_not_be_made_is_seen(violation: str, site: Site) -> None:
    CALLS[violation](site)
    assert any(violation in one for one in site.found), site.found


def _record(**changes: Any) -> dict[str, Any]:
    """Return what a report says of a run that launched the database, as far as it is judged."""
    server = {"source_server_id": DB, "critical": True}
    termination = {"state": "success", "terminated": [], "stopped": [], "left": []}
    record = {
        "recovered": None,
        "gates": [],
        "waves": [{"name": "db", "jobs": [], "servers": [server], "rollback": None}],
        "termination": {**termination, **changes.pop("termination", {})},
    }
    return {**record, **changes}


def _another_job(site: Site, run: Custody) -> dict[str, Any]:
    other = site.run(installation="south")
    site.launch(other)
    (job,) = people_judge.backend().jobs
    wave = {"name": "db", "jobs": [{"job_id": job}], "servers": [], "rollback": None}
    return _record(waves=[wave])


def _another_instance(site: Site, run: Custody) -> dict[str, Any]:
    site.launch(None, isDrill=False)
    return _record(termination={"terminated": [live_instances()[0].id]})


def _taken(site: Site, run: Custody) -> dict[str, Any]:
    site.launch(run)
    site.launch(None, isDrill=False)
    return _record(recovered="2026-01-01T00:00:00Z")


def _left(site: Site, run: Custody) -> dict[str, Any]:
    site.launch(run)
    return _record()


def _not_named(site: Site, run: Custody) -> dict[str, Any]:
    site.launch(run)
    return _record(termination={"state": "failed", "left": [{"instance_id": "i-0"}]})


REPORTS: dict[str, tuple[str, str, dict[str, str], Callable[[Site, Custody], dict[str, Any] | None]]] = {
    "the run is failed and has no report": ("recovery", "failed", {}, lambda site, run: None),
    "which is not its run's own": ("recovery", "failed", {}, _another_job),
    "the report claims to have terminated": ("drill", "failed", {}, _another_instance),
    f"the report claims a recovery, and {DB} was not launched by it": (
        "recovery",
        "success",
        {},
        lambda site, run: _record(recovered="2026-01-01T00:00:00Z"),
    ),
    f"the run is a success, and {DB} was taken from it before its end": ("recovery", "success", {}, _taken),
    "the run is success, recovered None, around ['db.approve']": (
        "recovery",
        "success",
        {"db.approve": "success"},
        lambda site, run: _record(),
    ),
    "the report does not say that db.approve was marked by hand": (
        "recovery",
        "failed",
        {"db.approve": "success"},
        lambda site, run: _record(),
    ),
    "the drill ended cleanly, and left": ("drill", "success", {"terminate": "success"}, _left),
    "and its report does not name it": ("drill", "failed", {"terminate": "failed"}, _not_named),
}


@pytest.mark.parametrize("violation", REPORTS)
def test_each_report_that_says_too_much_or_too_little_is_seen(violation: str, site: Site, tmp_path: Path) -> None:
    mode, state, states, planted = REPORTS[violation]
    run = site.run(mode)
    if (record := planted(site, run)) is not None:
        (tmp_path / "report.json").write_text(json.dumps(record))
    site.judge.report(run, str(tmp_path), state, states)
    assert any(violation in one for one in site.found), site.found


def test_a_drill_instance_that_nobody_names_is_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.launch(site.run("drill"))
    site.judge.nothing_unnamed()
    assert site.found == []
    monkeypatch.setattr(people_judge, "find_drill_instances", lambda *_, **__: [])
    site.judge.nothing_unnamed()
    assert "is left, and drs-plan orphans does not name it" in site.found[0]


def test_a_report_that_no_task_wrote_again_is_not_judged_again(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A gate of a run that had ended is cleared alone and marked: the report is older."""
    teller = Teller(1, drs_simulator, monkeypatch, tmp_path)
    run = teller.begin(real=True)
    run.states.update(dict.fromkeys(run.states, "success"))
    run.reported = True
    assert teller.go(run)
    assert teller.story.violations == []


def test_no_part_of_the_package_has_a_clock_of_its_own_in_a_story(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tasks import when they begin follows the clock of the story, or the story fails."""
    day = 86400.0
    with quick_aws(monkeypatch), one_clock(monkeypatch):
        time.sleep(100 * day)
        assert base.datetime.now(timezone.utc).timestamp() == pytest.approx(time.time(), abs=day)
    with pytest.raises(AssertionError, match="late"), one_clock(monkeypatch):
        late = ModuleType("drs_provider.late")
        late.datetime = datetime  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "drs_provider.late", late)


def test_stories_of_a_package_that_asks_no_gate_have_violations(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(base.RecoveryWork, "before_acting", lambda self, context: None)
    found: list[str] = []
    for seed in range(20):
        drs_simulator.events.clear()
        found += tell(seed, drs_simulator, monkeypatch, tmp_path / str(seed)).violations
        if any("StartRecovery" in one and "was never passed" in one for one in found):
            return
    pytest.fail(f"nothing was seen: {found}")
