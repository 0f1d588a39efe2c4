"""The evidence of a run: figures worked out by hand, failures, rollback, and everything that can be missing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.events import (
    EVIDENCE_KEY,
    approval_event,
    preflight_event,
    rollback_event,
    script_event,
)
from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown

STAMP = "2026-11-21T11:{:02d}:{:02d}+00:00"


def stamp(seconds: int) -> str:
    return STAMP.format(seconds // 60, seconds % 60)


def wave(record: Any, name: str) -> Any:
    return next(wave for wave in record.waves if wave.name == name)


class TestFigures:
    def test_rto_runs_from_the_start_of_the_run_to_the_end_of_the_last_wave(self, drill: Any) -> None:
        record = drill.record()
        assert record.run.state == "success"
        assert record.rto.achieved_seconds == 1400
        assert record.rto.objective_seconds == 2700
        assert record.rto.met is True
        assert record.recovered.isoformat() == stamp(1400)
        # The termination of the drill's instances, until 1480, does not count.
        assert record.run.ended.isoformat() == stamp(1480)

    def test_rto_is_missed_by_one_second(self, drill: Any) -> None:
        plan = drill.loaded.plan
        objectives = plan.objectives.model_copy(update={"rto": timedelta(seconds=1399)})
        object.__setattr__(drill.loaded, "plan", plan.model_copy(update={"objectives": objectives}))
        assert drill.record().rto.met is False

    def test_a_cleared_run_counts_from_its_first_beginning(self, drill: Any) -> None:
        drill.facts["started"] = stamp(900)
        assert drill.record().rto.achieved_seconds == 1399.5

    def test_rpo_is_that_of_the_worst_launched_server(self, drill: Any) -> None:
        record = drill.record()
        assert record.rpo.achieved_seconds == 41
        assert record.rpo.server == "s-1a2b3c4d5e6f70002"
        assert record.rpo.met is True

    def test_rpo_of_a_chosen_snapshot_is_the_jobs_start_minus_its_timestamp(self, drill: Any) -> None:
        server = drill.xcoms["app.launch"][EVIDENCE_KEY]["servers"]["s-1a2b3c4d5e6f70021"]
        server.update(snapshot_id="pit-0123456789abcdef0", snapshot_time="2026-11-21T11:00:07Z")
        found = wave(drill.record(), "app").servers[0]
        assert (found.rpo_seconds, found.rpo_source) == (600, "snapshot")
        record = drill.record()
        assert (record.rpo.achieved_seconds, record.rpo.met) == (600, False)

    def test_a_snapshots_time_is_looked_up_where_the_launch_did_not_tell(self, drill: Any) -> None:
        drill.xcoms["app.launch"][EVIDENCE_KEY]["servers"]["s-1a2b3c4d5e6f70021"]["snapshot_id"] = "pit-2"
        drill.drs.recovery_snapshots["s-1a2b3c4d5e6f70021"] = [
            {"snapshotID": "pit-1", "timestamp": stamp(500)},
            {"snapshotID": "pit-2", "timestamp": stamp(7)},
        ]
        assert wave(drill.record(), "app").servers[0].rpo_seconds == 600

    def test_a_launch_that_fell_back_on_an_earlier_snapshot(self, drill: Any) -> None:
        log = drill.drs.logs["drsjob-3a0000000000000b1"]
        log.append(
            {
                "logDateTime": stamp(18),
                "event": "USING_PREVIOUS_SNAPSHOT",
                "eventData": {"sourceServerID": "s-1a2b3c4d5e6f70011"},
            }
        )
        drill.drs.recovery_snapshots["s-1a2b3c4d5e6f70011"] = [
            {"snapshotID": "pit-later", "timestamp": stamp(200)},
            {"snapshotID": "pit-used", "timestamp": "2026-11-21T10:55:17Z"},
        ]
        server = wave(drill.record(), "cache").servers[0]
        assert (server.snapshot_id, server.rpo_seconds) == ("pit-used", 300)

    def test_where_the_job_log_and_the_lag_differ_the_older_data_counts(self, drill: Any) -> None:
        data: Any = {"sourceServerID": "s-1a2b3c4d5e6f70011"}
        data["conversionProperties"] = {"dataTimestamp": "2026-11-21T10:58:37Z"}
        log = drill.drs.logs["drsjob-3a0000000000000b1"]
        log.append({"logDateTime": stamp(60), "event": "CONVERSION_START", "eventData": data})
        server = wave(drill.record(), "cache").servers[0]
        assert (server.rpo_seconds, server.rpo_source) == (100, "job log")
        drill.xcoms["cache.launch"][EVIDENCE_KEY]["servers"]["s-1a2b3c4d5e6f70011"]["lag_seconds"] = 130
        server = wave(drill.record(), "cache").servers[0]
        assert (server.rpo_seconds, server.rpo_source) == (130, "replication lag")

    def test_rpo_is_not_met_while_the_age_of_some_data_is_unknown(self, drill: Any) -> None:
        drill.xcoms["web.launch"][EVIDENCE_KEY]["servers"]["s-1a2b3c4d5e6f70031"]["lag_seconds"] = None
        rpo = drill.record().rpo
        assert rpo.met is None
        assert "1 of 6" in rpo.remark

    def test_critical_path(self, drill: Any) -> None:
        path = drill.record().critical_path
        assert [(s.waited_for, s.waited_seconds, s.wave, s.seconds) for s in path] == [
            (None, 16, "database", 504),
            ("database", 4, "app", 476),
            ("app", 3, "web", 397),
        ]
        assert sum(step.waited_seconds + step.seconds for step in path) == 1400

    def test_a_wave_that_waits_for_two_waited_for_the_later_one(self, drill: Any) -> None:
        drill.task("cache.wait_for_launch", 18, 1001)
        assert [step.wave for step in drill.record().critical_path] == ["cache", "web"]

    def test_time_spent_adds_up(self, drill: Any) -> None:
        spent = {part.kind: part.seconds for part in drill.record().time_spent}
        assert sum(spent.values()) == pytest.approx(1400)
        # By hand: scripts 24 + 18 + 17, health 15 + 18, settle 60, approval 80, preflight 12.
        assert spent["scripts"] == 59
        assert spent["health"] == 33
        assert (spent["settle"], spent["approval"], spent["preflight"]) == (60, 80, 12)
        # Snapshots 1.5 + 1.5 + 1.5; conversions 95–300, 660–850, 1056–1230; launches what is left until each end.
        assert spent["snapshot"] == 4.5
        assert spent["conversion"] == 205 + 190 + 174
        assert spent["launch"] == (398 - 300) + (996 - 850) + (1376 - 1231)

    def test_phases_are_those_of_the_job_log(self, drill: Any) -> None:
        phases = {p.kind: p for p in wave(drill.record(), "cache").phases}
        assert phases["conversion"].started.isoformat() == stamp(60)
        assert phases["conversion"].ended.isoformat() == stamp(200)
        assert phases["launch"].ended.isoformat() == stamp(296)
        job = wave(drill.record(), "cache").jobs[0]
        assert (job.started.isoformat(), job.ended.isoformat()) == (stamp(17), stamp(298))

    def test_a_server_that_failed_but_is_not_critical_fails_nothing(self, drill: Any) -> None:
        found = wave(drill.record(), "database")
        assert found.state == "success"
        failed = found.servers[2]
        assert (failed.critical, failed.launch_status, failed.rpo_seconds) == (False, "FAILED", None)
        assert failed.reason == "the launch template has no subnet"

    def test_each_wave_tells_when_it_was_reached(self, drill: Any) -> None:
        reached = {found.name: found.reached_seconds for found in drill.record().waves}
        assert reached == {"database": 520, "cache": 300, "app": 1000, "web": 1400}

    def test_jobs_that_end_instances_are_no_launches(self, drill: Any) -> None:
        drill.drs.add_job("drsjob-end", "cache", 1405, 1470, {"s-1a2b3c4d5e6f70011": []})
        drill.drs.items["drsjob-end"]["type"] = "TERMINATE"
        found = wave(drill.record(), "cache")
        assert ([job.job_id for job in found.jobs], found.servers[0].attempts) == (["drsjob-3a0000000000000b1"], 1)

    def test_attempts_and_adopted_jobs(self, drill: Any) -> None:
        drill.drs.add_job("drsjob-retry", "cache", 200, 290, {"s-1a2b3c4d5e6f70011": []}, attempt=2)
        job = drill.xcoms["cache.launch"][EVIDENCE_KEY]["jobs"][0]
        job["adopted"] = True
        found = wave(drill.record(), "cache")
        assert [(job.attempt, job.adopted) for job in found.jobs] == [(1, True), (2, False)]
        assert found.servers[0].attempts == 2


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
        script = script_event(
            started=stamp(440),
            ended=stamp(450),
            status="Success",
            wave="database",
            name="fence-db",
            section="rollback",
            script_kind="automation",
            document="Shop-FenceDatabase",
        )
        event = rollback_event(
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
        event = rollback_event(started=stamp(405), ended=stamp(450), status="failed", wave="database", left=left)
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

    def test_a_plan_that_changed_during_the_run(self, drill: Any) -> None:
        drill.xcoms["confirm"] = {"plan": {"hash": "a" * 64}}
        plan = drill.record().plan
        assert (plan.hash, plan.changed_to) == ("a" * 64, drill.loaded.hash)

    def test_overrides_and_approvals(self, drill: Any) -> None:
        drill.facts["parameters"]["mode"] = "recovery"
        drill.facts["triggered_by"] = "bob"
        finding = {"code": "replication-lag", "severity": "error", "message": "The lag is 12m.", "remedy": ""}
        drill.xcoms["preflight"][EVIDENCE_KEY] = preflight_event(
            started=stamp(2),
            ended=stamp(14),
            status="success",
            findings=[finding],
            overridden=["replication-lag"],
            override_reason="the source site is gone",
            override_by="bob",
        )
        drill.xcoms["confirm"] = {
            EVIDENCE_KEY: [
                approval_event(
                    started=stamp(0), ended=stamp(0), where="recovery", approver="bob", decision="ignored: why"
                ),
                approval_event(
                    started=stamp(0), ended=stamp(1), where="recovery", approver="carol", decision="approved"
                ),
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


class TestPartialRuns:
    def test_waves_left_out_are_skipped_and_looked_through(self, drill: Any) -> None:
        drill.facts["parameters"]["waves"] = ["database", "web"]
        for task_id in list(drill.tasks):
            if task_id.partition(".")[0] in ("app", "cache"):
                drill.tasks[task_id] = {"state": "skipped"}
                drill.xcoms.pop(task_id)
        for job in ("b1", "c1"):
            del drill.drs.items[f"drsjob-3a0000000000000{job}"]
        record = drill.record()
        assert wave(record, "app").state == "skipped"
        assert [(s.waited_for, s.wave) for s in record.critical_path] == [(None, "database"), ("database", "web")]
        # It was quick enough, but the objective is for the whole plan.
        assert (record.rto.achieved_seconds, record.rto.met) == (1400, None)
        assert "app" in record.rto.remark


class TestMissing:
    def test_without_aws_the_record_says_so(self, drill: Any) -> None:
        drill.drs = None
        record = drill.record()
        assert record.rto.achieved_seconds == 1400
        assert record.unread
        assert all("no connection" in gap.why for gap in record.unread)

    def test_when_aws_is_down_it_is_asked_once(self, drill: Any) -> None:
        drill.drs.error = ConnectionError("no route to host")
        record = drill.record()
        assert drill.drs.asked == ["jobs_tagged"]
        assert "no route to host" in record.unread[0].why
        assert record.run.state == "success"

    def test_without_rights_everything_else_is_still_asked(self, drill: Any) -> None:
        from botocore.exceptions import ClientError

        drill.drs.error = ClientError(
            {"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DescribeJobs"
        )
        drill.record()
        assert len(drill.drs.asked) == 6

    def test_jobs_are_found_by_tag_where_no_task_told_of_them(self, drill: Any) -> None:
        for task_id in ("cache.launch", "cache.wait_for_launch"):
            drill.xcoms.pop(task_id)
        found = wave(drill.record(), "cache")
        assert found.jobs[0].job_id == "drsjob-3a0000000000000b1"
        assert (found.servers[0].launch_status, found.servers[0].ec2_instance_id) == ("LAUNCHED", "i-0bb0000000000001a")

    def test_tasks_that_ended_in_the_triggerer_tell_by_return_value_and_moments(self, drill: Any) -> None:
        for task_id in list(drill.xcoms):
            name = task_id.partition(".")[2]
            if name == "wait_for_launch" or name.startswith(("pre_launch", "post_launch", "health", "settle")):
                event = drill.xcoms[task_id].pop(EVIDENCE_KEY)
                drill.xcoms[task_id] = {"started": event["started"], "ended": event["ended"]}
                drill.tasks[task_id] = {"state": "success"}
                if "servers" in event:
                    drill.xcoms[task_id]["return_value"] = {"servers": event["servers"]}
                if "execution_id" in event:
                    drill.xcoms[task_id]["return_value"] = {
                        "command_id": event["execution_id"],
                        "status": event["status"],
                        "instances": event["instances"],
                    }
        record = drill.record()
        assert record.rto.achieved_seconds == 1400
        assert {part.kind: part.seconds for part in record.time_spent}["scripts"] == 59
        assert record.rpo.achieved_seconds == 41
        script = next(s for s in wave(record, "database").scripts if s.name == "start-postgres")
        assert [each.exit_code for each in script.instances] == [0, 0]
        assert [check.check for check in wave(record, "database").health_checks] == ["instance status", "tcp 5432"]

    def test_nothing_but_the_name_of_the_run(self, drill: Any) -> None:
        record = collect_record(drill.loaded, RunFacts("three-tier-web", "manual__1"), None)
        assert record.run.state == "running"
        assert {found.state for found in record.waves} == {"unknown"}
        assert record.rto.achieved_seconds is None
        assert "Still going" in render_html(record)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2026-11-21T11:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_tasks_left_behind_there_is_a_report(drill: Any, data: st.DataObject) -> None:
    xcoms = json.loads(json.dumps(drill.xcoms))
    tasks = json.loads(json.dumps(drill.tasks))
    for task_id in data.draw(st.lists(st.sampled_from(sorted(xcoms)), max_size=5)):
        event = xcoms[task_id].get(EVIDENCE_KEY)
        if isinstance(event, dict) and data.draw(st.booleans()):
            event[data.draw(st.sampled_from(sorted(event) or ["status"]))] = data.draw(JUNK)
        else:
            xcoms[task_id][EVIDENCE_KEY] = data.draw(JUNK)
    for task_id in data.draw(st.lists(st.sampled_from(sorted(tasks)), max_size=5)):
        tasks[task_id] = data.draw(JUNK | st.sampled_from(["failed", "skipped", "upstream_failed", "running"]))
    facts = RunFacts(**{**drill.facts, "parameters": data.draw(JUNK)}, tasks=tasks, xcoms=xcoms)
    record = collect_record(drill.loaded, facts, drill.drs)
    assert type(record).model_validate_json(record.to_json()) == record
    assert "</html>" in render_html(record)
    assert render_markdown(record).startswith("# three-tier-web: ")
    if record.rto.achieved_seconds is not None and record.critical_path:
        steps = record.critical_path
        assert sum(s.waited_seconds + s.seconds for s in steps) == pytest.approx(record.rto.achieved_seconds, abs=0.01)
