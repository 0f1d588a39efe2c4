"""The evidence of a run in which something failed: servers, scripts, waves, rollbacks, people, channels."""

from __future__ import annotations

from typing import Any

from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.events import EVIDENCE_KEY
from drs_provider.evidence.verdict import verdict
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.confirm.event import ConfirmEvent
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.rollback.event import RollbackEvent
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.steps.terminate.event import TerminateEvent
from tests.evidence.reading import stamp, wave


class TestFailures:
    def fail(self, drill: Any) -> Any:
        drill.fails("database.wait_for_launch", reason="1 of 3 servers failed: db02")
        server = drill.xcoms["database.wait_for_launch"][EVIDENCE_KEY]["servers"]["s-1a2b3c4d5e6f70002"]
        server.update(launch_status="FAILED", ec2_instance_id=None, recovery_instance_id=None, reason="no subnet")
        for task_id in [t for t in drill.tasks if t.startswith("database.")]:
            if task_id.split(".")[1] in ("settle", "health", "post_launch"):
                drill.tasks[task_id] = {"state": "upstream_failed"}
                drill.xcoms.pop(task_id)
        drill.never_started("app", "web")
        return drill

    def test_a_failed_wave_stops_what_depends_on_it_and_nothing_else(self, drill: Any) -> None:
        record = self.fail(drill).record()
        states = {found.name: found.state for found in record.waves}
        assert states == {"database": "failed", "cache": "success", "app": "not_started", "web": "not_started"}
        assert record.run.state == "failed"
        assert "db02" in wave(record, "database").reason

    def test_a_failed_run_achieves_no_rto(self, drill: Any) -> None:
        rto = self.fail(drill).record().rto
        assert (rto.achieved_seconds, rto.met) == (None, False)
        assert "database (failed)" in rto.remark

    def test_rollback(self, drill: Any) -> None:
        self.fail(drill)
        script = ScriptEvent(
            started=stamp(440),
            ended=stamp(450),
            status="Success",
            wave="database",
            name="fence-db",
            section="rollback",
            script_kind="automation",
            document="Shop-FenceDatabase",
        )
        event = RollbackEvent(
            started=stamp(405),
            ended=stamp(450),
            status="success",
            wave="database",
            terminated=["i-0aa0000000000001a"],
            scripts=[script],
        )
        drill.task("database.rollback", 405, 450, event)
        found = wave(drill.record(), "database")
        assert found.state == "rolled_back"
        assert found.rollback.terminated == ["i-0aa0000000000001a"]
        assert [s.name for s in found.rollback.scripts] == ["fence-db"]
        # Rolling back is not part of the wave's time.
        assert found.ended.isoformat() == stamp(402)
        assert drill.record().run.state == "failed"

    def test_a_rollback_that_had_nothing_to_do_changes_nothing(self, drill: Any) -> None:
        drill.task("database.rollback", 521, 522, state="skipped")
        found = wave(drill.record(), "database")
        assert (found.state, found.rollback) == ("success", None)

    def test_a_rollback_that_failed(self, drill: Any) -> None:
        self.fail(drill)
        left = [{"instance_id": "i-0aa0000000000001a", "reason": "UnauthorizedOperation"}]
        event = RollbackEvent(started=stamp(405), ended=stamp(450), status="failed", wave="database", left=left)
        drill.task("database.rollback", 405, 450, event, state="failed")
        assert wave(drill.record(), "database").state == "rollback_failed"

    def test_a_run_that_a_person_ended_is_no_success(self, drill: Any) -> None:
        # Airflow then leaves tasks that have not run as skipped, which elsewhere means left out.
        drill.facts["state"] = "success"
        for task_id in drill.tasks:
            if task_id.startswith("web."):
                drill.tasks[task_id] = {"state": "skipped"}
                drill.xcoms.pop(task_id)
        del drill.drs.items["drsjob-3a0000000000000d1"]
        record = drill.record()
        assert wave(record, "web").state == "not_started"
        assert record.run.state == "failed"
        assert record.rto.achieved_seconds is None

    def test_a_run_that_a_person_ended_in_the_middle_of_a_wave_did_not_recover(self, drill: Any) -> None:
        drill.facts["state"] = "failed"
        for task_id in ("database.health.tcp", "web.post_launch.switch-dns"):
            drill.tasks[task_id] = {"state": "skipped"}
            drill.xcoms.pop(task_id)
        record = drill.record()
        for name, task in (("database", "health.tcp"), ("web", "post_launch.switch-dns")):
            found = wave(record, name)
            assert (found.state, found.reached_seconds) == ("failed", None)
            assert found.reason == f"it was ended before these tasks were done: {task}"
        assert (record.rto.achieved_seconds, record.rto.met, record.recovered) == (None, False, None)
        assert verdict(record).title == "Cancelled"

    def test_a_wave_that_was_only_marked_as_a_success_launched_nothing(self, drill: Any) -> None:
        for task_id in ("cache.launch", "cache.wait_for_launch"):
            drill.tasks[task_id] = {"state": "success"}
            drill.xcoms.pop(task_id)
        del drill.drs.items["drsjob-3a0000000000000b1"]
        record = drill.record()
        assert wave(record, "cache").state == "failed"
        assert "no server was launched" in wave(record, "cache").reason
        assert (record.run.state, record.rto.met) == ("failed", False)

    def test_a_wait_that_was_only_marked_as_a_success_while_aws_is_out_of_reach(self, drill: Any) -> None:
        drill.tasks["cache.wait_for_launch"] = {"state": "success"}
        drill.xcoms.pop("cache.wait_for_launch")
        drill.drs = None
        record = drill.record()
        assert (wave(record, "cache").state, record.run.state) == ("failed", "failed")
        assert "did not launch: cache01" in wave(record, "cache").reason

    def test_the_end_of_a_drill_that_a_person_marked_as_skipped_leaves_its_instances(self, drill: Any) -> None:
        drill.tasks["terminate"] = {"state": "skipped"}
        drill.xcoms.pop("terminate")
        record = drill.record()
        assert len(record.termination.left) == 6
        assert (record.termination.state, record.run.state) == ("failed", "failed")

    def refuse(self, drill: Any) -> None:
        drill.xcoms.clear()
        drill.drs.items.clear()
        for task_id in drill.tasks:
            drill.tasks[task_id] = {"state": "upstream_failed"}

    def test_a_run_that_was_refused_says_why(self, drill: Any) -> None:
        self.refuse(drill)
        drill.facts["parameters"]["override"] = {"findings": ["replication-lag"], "reason": "in a hurry"}
        why = "This run was refused, and nothing was started:\n- override is for real recoveries"
        event = ConfirmEvent(
            started=stamp(1), ended=stamp(1), status="failed", mode="drill", triggered_by="bob", reason=why
        )
        drill.task("confirm", 1, 1, event, state="failed")
        record = drill.record()
        assert record.run.refused == why
        assert "override is for real recoveries" in verdict(record).detail
        assert record.overrides == [], "nobody went on in spite of anything"

    def test_an_override_beside_what_blocked_the_run_went_on_in_spite_of_nothing(self, drill: Any) -> None:
        self.refuse(drill)
        lag = {"code": "replication-lag", "severity": "error", "message": "The lag is 12m.", "remedy": ""}
        gone = {"code": "server-not-found", "severity": "error", "message": "No such server.", "remedy": ""}
        event = PreflightEvent(
            started=stamp(2), ended=stamp(9), status="failed", findings=[lag, gone], overridden=["replication-lag"]
        )
        drill.task("preflight", 2, 9, event, state="failed")
        assert drill.record().overrides == []

    def test_a_run_whose_override_names_no_finding_says_so(self, drill: Any) -> None:
        self.refuse(drill)
        event = PreflightEvent(
            started=stamp(2), ended=stamp(2), status="failed", findings=[], reason="'lag' is not a finding code"
        )
        drill.task("confirm", 1, 1)
        drill.task("preflight", 2, 2, event, state="failed")
        assert verdict(drill.record()).detail == "'lag' is not a finding code."

    def test_a_recovery_that_nobody_approved_says_so(self, drill: Any) -> None:
        self.refuse(drill)
        drill.facts["parameters"]["mode"] = "recovery"
        event = ApprovalEvent(started=stamp(1), ended=stamp(9), where="recovery", approver=None, status="timed out")
        drill.task("confirm", 1, 9, event, state="failed")
        assert verdict(drill.record()).detail == "The approval of the recovery: timed out."

    def test_an_instance_without_evidence_of_its_end_is_left_over(self, drill: Any) -> None:
        drill.xcoms["terminate"][EVIDENCE_KEY]["terminated"].remove("i-0dd0000000000001a")
        record = drill.record()
        assert [left.instance_id for left in record.termination.left] == ["i-0dd0000000000001a"]
        assert (record.termination.state, record.run.state) == ("failed", "failed")
        assert record.rto.met is True, "the recovery itself was in time"

    def test_a_recovery_keeps_its_instances(self, drill: Any) -> None:
        drill.facts["parameters"]["mode"] = "recovery"
        drill.tasks["terminate"] = {"state": "skipped"}
        drill.xcoms.pop("terminate")
        record = drill.record()
        assert (record.run.mode, record.termination.state, record.run.state) == (
            "recovery",
            "not_applicable",
            "success",
        )

    def test_preflight_that_blocks(self, drill: Any) -> None:
        drill.fails("preflight")
        drill.never_started("database", "cache", "app", "web")
        record = drill.record()
        assert (record.run.state, record.rto.met) == ("failed", False)
        assert {found.state for found in record.waves} == {"not_started"}

    def test_a_script_that_failed_where_the_plan_goes_on(self, drill: Any) -> None:
        drill.xcoms["web.post_launch.switch-dns"][EVIDENCE_KEY]["status"] = "Failed"
        found = wave(drill.record(), "web")
        assert (found.state, found.scripts[0].state) == ("success", "failed")
        drill.xcoms["web.post_launch.switch-dns"] = {"return_value": {"status": "Failed", "reason": "no zone"}}
        found = wave(drill.record(), "web")
        assert (found.scripts[0].state, found.scripts[0].reason) == ("failed", "no zone")

    def test_what_a_health_check_says_of_itself_can_only_make_it_worse(self, drill: Any) -> None:
        drill.xcoms["database.health.tcp"][EVIDENCE_KEY]["status"] = "failed"
        assert wave(drill.record(), "database").health_checks[1].state == "failed"
        drill.tasks["database.health.tcp"]["state"] = "failed"
        drill.xcoms["database.health.tcp"][EVIDENCE_KEY]["status"] = "success"
        assert wave(drill.record(), "database").health_checks[1].state == "failed"

    def test_a_rejection_is_kept_when_its_task_is_cleared_and_asks_again(self, drill: Any) -> None:
        rejected = ApprovalEvent(started=stamp(500), ended=stamp(510), where="app", approver="bob", status="rejected")
        approved = drill.xcoms["app.approve"][EVIDENCE_KEY]
        drill.xcoms["app.approve"][EVIDENCE_KEY] = rejected.written()
        first = drill.record()
        drill.xcoms["app.approve"][EVIDENCE_KEY] = approved
        facts = RunFacts(**drill.facts, tasks=drill.tasks, xcoms=drill.xcoms)
        record = collect_record(drill.loaded, facts, drill.drs, earlier=first)
        again = collect_record(drill.loaded, facts, drill.drs, earlier=record)
        for each in (record, again):
            assert [(a.approver, a.decision) for a in each.approvals] == [("bob", "rejected"), ("alice", "approved")]

    def test_instances_that_were_ended_before_the_last_wave_was_up_did_not_recover(self, drill: Any) -> None:
        # The last script was cleared when the drill was over, and with it the end and the report.
        first = drill.record()
        drill.task("web.post_launch.switch-dns", 2000, 2010)
        terminated = drill.xcoms["terminate"][EVIDENCE_KEY]["terminated"]
        event = TerminateEvent(started=stamp(2020), ended=stamp(2030), status="success", terminated=terminated)
        drill.task("terminate", 2020, 2030, event)
        facts = RunFacts(**drill.facts, tasks=drill.tasks, xcoms=drill.xcoms)
        record = collect_record(drill.loaded, facts, drill.drs, earlier=first)
        # The report alone was cleared after that.
        again = collect_record(drill.loaded, facts, drill.drs, earlier=record)
        for each in (record, again):
            assert {wave.state for wave in each.waves} == {"failed"}
            assert (each.run.state, each.rto.achieved_seconds, each.rto.met) == ("failed", None, False)
            assert each.termination.ended_before[terminated[0]].isoformat() == stamp(1402)

    def test_a_plan_that_changed_during_the_run(self, drill: Any) -> None:
        drill.xcoms["confirm"] = {"plan": {"hash": "a" * 64}}
        plan = drill.record().plan
        assert (plan.hash, plan.changed_to) == ("a" * 64, drill.loaded.hash)

    def test_overrides_and_approvals(self, drill: Any) -> None:
        drill.facts["parameters"]["mode"] = "recovery"
        drill.facts["triggered_by"] = "bob"
        finding = {"code": "replication-lag", "severity": "error", "message": "The lag is 12m.", "remedy": ""}
        drill.xcoms["preflight"][EVIDENCE_KEY] = PreflightEvent(
            started=stamp(2),
            ended=stamp(14),
            status="success",
            findings=[finding],
            overridden=["replication-lag"],
            override_reason="the source site is gone",
            override_by="bob",
        ).written()
        drill.xcoms["confirm"] = {
            EVIDENCE_KEY: [
                ApprovalEvent(
                    started=stamp(0), ended=stamp(0), where="recovery", approver="bob", status="ignored: why"
                ).written(),
                ApprovalEvent(
                    started=stamp(0), ended=stamp(1), where="recovery", approver="carol", status="approved"
                ).written(),
            ]
        }
        record = drill.record()
        (override,) = record.overrides
        assert (override.finding, override.reason, override.by) == ("replication-lag", "the source site is gone", "bob")
        assert override.at == record.preflight.ended
        assert record.preflight.findings[0].overridden
        assert [(a.where, a.approver, a.seconds) for a in record.approvals] == [
            ("recovery", "bob", 0),
            ("recovery", "carol", 1),
            ("app", "alice", 80),
        ]

    def test_what_became_of_notifications(self, drill: Any) -> None:
        sent = {"event": "wave_failed", "wave": "web", "to": "arn:topic", "sent": stamp(9), "status": "success"}
        failed = {
            "event": "started",
            "wave": "",
            "to": "chat",
            "sent": stamp(3),
            "status": "failed",
            "reason": "it is down",
        }
        drill.xcoms["web.wait_for_launch"]["notified_wave_failed"] = [sent]
        drill.xcoms["confirm"] = {"notified_started": [failed, "nonsense"], "notified_rto_missed": None}
        first, second, third = drill.record().notifications
        assert (first.event, first.to, first.state) == ("unknown", "unknown", "unknown"), "what is odd is listed too"
        assert (second.event, second.wave, second.to, second.state) == ("started", None, "chat", "failed")
        assert second.reason == "it is down"
        assert (third.event, third.wave, third.state, third.reason) == ("wave_failed", "web", "success", None)
