"""The evidence of a run: figures worked out by hand, and everything that can be missing."""

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
)
from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from tests.evidence.reading import stamp, wave


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

    def test_a_run_that_is_cleared_as_a_whole_counts_from_its_first_job(self, drill: Any) -> None:
        # Every task forgot what it did before; the launches adopted the jobs that were there.
        drill.facts["started"] = stamp(1410)
        for task_id in drill.tasks:
            drill.tasks[task_id].update(started=stamp(1410), ended=stamp(1500))
            if event := drill.xcoms.get(task_id, {}).get(EVIDENCE_KEY):
                event.update(started=stamp(1410), ended=stamp(1500))
        record = drill.record()
        assert record.clock_started.isoformat() == stamp(17)
        assert record.rto.achieved_seconds == 1500 - 17

    def test_jobs_are_looked_for_from_when_the_run_was_due(self, drill: Any, monkeypatch: Any) -> None:
        asked: list[Any] = []
        monkeypatch.setattr(drill.drs, "jobs_since", lambda moment: asked.append(moment) or [])
        drill.facts["due"] = "2026-11-21T09:00:00Z"
        drill.record()
        assert asked[0].isoformat() == "2026-11-21T08:50:00+00:00"

    def test_a_job_that_a_server_keeps_which_may_fail_does_not_keep_its_wave(self, drill: Any) -> None:
        drill.drs.logs["drsjob-3a0000000000000b1"][-1]["logDateTime"] = stamp(1450)
        record = drill.record()
        assert wave(record, "cache").jobs[0].ended.isoformat() == stamp(1450)
        assert wave(record, "cache").reached_seconds == 300
        assert record.rto.achieved_seconds == 1400

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

    def test_the_lag_at_the_launch_tells_nothing_of_a_second_launch_long_after_it(self, drill: Any) -> None:
        server = "s-1a2b3c4d5e6f70011"
        drill.drs.add_job("drsjob-retry", "cache", 700, 900, {server: []}, attempt=2)
        drill.xcoms["cache.wait_for_launch"][EVIDENCE_KEY]["servers"][server]["job_id"] = "drsjob-retry"
        record = drill.record()
        found = wave(record, "cache").servers[0]
        assert (found.job_id, found.rpo_seconds, found.data_time) == ("drsjob-retry", None, None)
        assert record.rpo.met is None

    def test_the_lag_at_a_launch_that_was_cleared_tells_nothing_of_the_job_that_it_adopted(self, drill: Any) -> None:
        event = drill.xcoms["cache.launch"][EVIDENCE_KEY]
        event.update(started=stamp(998), ended=stamp(1000))
        event["servers"]["s-1a2b3c4d5e6f70011"]["lag_seconds"] = 3600
        record = drill.record()
        assert wave(record, "cache").servers[0].rpo_seconds is None
        assert (record.rpo.achieved_seconds, record.rpo.met) == (41, None)

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
        assert (record.rpo.achieved_seconds, record.rpo.met) == (41, None)
        assert record.rpo.remark == "the run left out cache, app; the objective is for the whole plan"

    def test_a_run_without_the_scripts_cannot_meet_the_objective(self, drill: Any) -> None:
        drill.facts["parameters"]["skip_scripts"] = True
        for task_id in list(drill.tasks):
            if "_launch." in task_id:
                drill.tasks[task_id] = {"state": "skipped"}
                drill.xcoms.pop(task_id)
        record = drill.record()
        assert record.run.state == "success"
        assert (record.rto.achieved_seconds, record.rto.met) == (1380, None)
        assert record.rto.remark == "the run left out the scripts; the objective is for the whole plan"
        assert "RTO met" not in render_html(record)


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
        assert drill.drs.asked == ["jobs_since"]
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
                        "outputs": event["outputs"],
                    }
        drill.xcoms["database.health.instance_status"]["return_value"] = {"i-0aa0000000000001a": "ok"}
        script = {"status": "Success", "exit_code": 0, "output_tail": "", "reason": "Success"}
        answers = {
            "command_id": "c-1",
            "status": "Success",
            "instances": {"i-0aa0000000000001a": script},
            "outputs": {},
        }
        drill.xcoms["database.health.tcp"]["return_value"] = answers
        record = drill.record()
        assert record.rto.achieved_seconds == 1400
        assert {part.kind: part.seconds for part in record.time_spent}["scripts"] == 59
        assert record.rpo.achieved_seconds == 41
        script = next(s for s in wave(record, "database").scripts if s.name == "start-postgres")
        assert [each.exit_code for each in script.instances] == [0, 0]
        checks = wave(record, "database").health_checks
        assert [check.check for check in checks] == ["instance status", "tcp 5432"]
        assert [(one.status, one.detail) for check in checks for one in check.instances] == [
            ("passed", "ok"),
            ("passed", None),
        ], "what each instance answered, where it was not a script that asked"
        automation = next(s for s in wave(record, "database").scripts if s.name == "promote-replica")
        assert automation.output_tail == "Promote.Replica: shop-aurora-2"

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
