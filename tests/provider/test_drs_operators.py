"""The DRS operators over HTTP to the simulator: what they do, that doing it twice does no harm, and how they fail."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from drs_provider.aws.drs.launch import ForeignJobError
from drs_provider.operators.drs import DrsStartRecoveryOperator
from drs_provider.operators.drs_failback import DrsDisconnectRecoveryInstanceOperator, DrsReverseReplicationOperator
from drs_provider.operators.drs_source_servers import (
    DrsRecoverySnapshotOperator,
    DrsUpdateLaunchConfigurationOperator,
)
from tests.provider.drs_servers import AWS, SERVERS, calls, finish, hook, load


class TestStartRecovery:
    def run(self, task_context: Any, run_id: str = "manual__1", **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        task = DrsStartRecoveryOperator(task_id="launch", **AWS, **more)
        context = task_context(task, run_id)
        return task.execute(context), context["ti"].xcoms

    def test_what_it_returns(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server)
        result, xcoms = self.run(task_context, servers=SERVERS[:2])
        (job,) = result["jobs"]
        assert (result["region"], result["mode"]) == ("us-west-2", "drill")
        assert (job["attempt"], job["adopted"], job["source_servers"]) == (1, False, SERVERS[:2])
        assert hook().jobs([job["job_id"]])[0]["tags"]["drs-provider:launch"] == job["launch_key"]
        assert json.loads(json.dumps(result)) == result
        assert xcoms["_link_DrsJobLink"] == (
            f"https://console.aws.amazon.com/drs/home?region=us-west-2#/launchHistory/{job['job_id']}"
        )

    def test_the_next_try_adopts(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=60)
        first, _ = self.run(task_context, servers=SERVERS)
        second, _ = self.run(task_context, servers=SERVERS)
        assert [job["adopted"] for job in second["jobs"]] == [True]
        assert second["jobs"][0]["job_id"] == first["jobs"][0]["job_id"]
        assert len(calls(drs_simulator_server, "StartRecovery")) == 1

    def test_servers_by_tags_and_hostname_are_resolved_when_it_runs(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        tags = {"Application": "shop", "Tier": "web"}
        load(drs_simulator_server, s0={"tags": tags}, s1={"tags": {"Application": "shop"}})
        result, _ = self.run(
            task_context, server_tags=tags, hostnames=["HOST2"], servers=[{"id": SERVERS[3], "snapshot": None}]
        )
        assert result["jobs"][0]["source_servers"] == [SERVERS[0], SERVERS[2], SERVERS[3]]

    @pytest.mark.parametrize(
        ("choice", "says"),
        [({"hostnames": ["nobody"]}, "that of: none"), ({"server_tags": {"No": "one"}}, "no server to launch")],
    )
    def test_a_choice_that_matches_nothing_launches_nothing(
        self, drs_simulator_server: Any, task_context: Any, choice: dict[str, Any], says: str
    ) -> None:
        load(drs_simulator_server)
        with pytest.raises(AirflowException, match=says):
            self.run(task_context, **choice)
        assert not calls(drs_simulator_server, "StartRecovery")

    @pytest.mark.parametrize(("given", "sent"), [(False, False), ("False", False), ("true", True), (True, True)])
    def test_the_mode_may_come_from_a_template(
        self, drs_simulator_server: Any, task_context: Any, given: Any, sent: bool
    ) -> None:
        load(drs_simulator_server)
        self.run(task_context, servers=SERVERS[:1], is_drill=given)
        assert calls(drs_simulator_server, "StartRecovery")[0]["params"]["isDrill"] is sent

    def test_an_unclear_mode_launches_nothing(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server)
        with pytest.raises(ValueError, match="is_drill must be true or false"):
            self.run(task_context, servers=SERVERS[:1], is_drill="")
        assert not calls(drs_simulator_server, "StartRecovery")

    def test_a_deliberate_clear_says_what_it_does(
        self, drs_simulator_server: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator_server, s1={"outcome": ["failed", "launched"]})
        first, _ = self.run(task_context, servers=SERVERS[:2])
        finish(first["jobs"][0]["job_id"])
        for relaunch, started, says in (
            ("none", 1, "nothing is launched again"),
            ("failed", 2, "only failed ones"),
            ("all", 3, "every server is launched again"),
        ):
            finish(*(job["jobID"] for job in hook().jobs_since(datetime.now(timezone.utc) - timedelta(hours=1))))
            task = DrsStartRecoveryOperator(task_id="launch", servers=SERVERS[:2], relaunch=relaunch, **AWS)
            said: list[str] = []
            monkeypatch.setattr(task.log, "info", lambda text, *args, said=said: said.append(text % args))
            task.execute(task_context(task, try_number=started + 1, max_tries=started))
            assert len(calls(drs_simulator_server, "StartRecovery")) == started
            assert any(says in line for line in said)

    def test_on_kill_calls_nothing(self, drs_simulator_server: Any) -> None:
        load(drs_simulator_server)
        DrsStartRecoveryOperator(task_id="launch", servers=SERVERS, **AWS).on_kill()
        assert not [entry for entry in drs_simulator_server.log if entry.get("operation")]

    def test_a_foreign_job_fails_it(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1)
        self.run(task_context, "manual__other", servers=SERVERS[:1])
        with pytest.raises(ForeignJobError, match="manual__other"):
            self.run(task_context, servers=SERVERS[:2])

    def test_an_unknown_relaunch_is_refused(self) -> None:
        with pytest.raises(ValueError, match="relaunch must be one of none, failed, all"):
            DrsStartRecoveryOperator(task_id="launch", servers=SERVERS, relaunch="some")  # type: ignore[arg-type]


class TestSnapshots:
    AGES = {"s0": {"snapshots": [{"age": "10m"}, {"age": "1h"}, {"age": "1d"}, {"age": "1m", "finished": False}]}}

    def run(self, task_context: Any, **more: Any) -> dict[str, Any]:
        task = DrsRecoverySnapshotOperator(task_id="snapshot", **{"source_server_ids": SERVERS[:1], **AWS, **more})
        return task.execute(task_context(task))

    def age(self, result: dict[str, Any]) -> float:
        taken = datetime.fromisoformat(result["taken"][SERVERS[0]])
        return (datetime.now(timezone.utc) - taken).total_seconds() / 60

    @pytest.mark.parametrize(("before", "minutes"), [(None, 10), (30, 60), (60 * 5, 60 * 24)])
    def test_the_last_one_at_or_before(
        self, drs_simulator_server: Any, task_context: Any, before: int | None, minutes: int
    ) -> None:
        load(drs_simulator_server, speed=1, **self.AGES)
        moment = None if before is None else datetime.now(timezone.utc) - timedelta(minutes=before)
        result = self.run(task_context, at_or_before=moment)
        assert self.age(result) == pytest.approx(minutes, abs=1)
        snapshots = {one["snapshotID"]: one for one in hook().snapshots(SERVERS[0])}
        assert result["servers"] == [{"id": SERVERS[0], "snapshot": result["servers"][0]["snapshot"]}]
        assert snapshots[result["servers"][0]["snapshot"]]["timestamp"]

    def test_none_that_fits_names_what_there_is(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1, **self.AGES)
        with pytest.raises(AirflowException, match=rf"at or before 2020-01-01.*{SERVERS[0]} \(it has 3, from"):
            self.run(task_context, at_or_before="2020-01-01T00:00:00Z")
        later = datetime.now(timezone.utc) - timedelta(minutes=5)
        with pytest.raises(AirflowException, match="at or after"):
            self.run(task_context, not_before=later)
        result = self.run(task_context, not_before=later, on_missing="latest")
        assert result["servers"] == [{"id": SERVERS[0], "snapshot": None}]

    def test_its_choice_is_what_a_launch_takes(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1, **self.AGES)
        chosen = self.run(task_context)["servers"]
        task = DrsStartRecoveryOperator(task_id="launch", servers=chosen, **AWS)
        task.execute(task_context(task))
        (call,) = calls(drs_simulator_server, "StartRecovery")
        assert call["params"]["sourceServers"][0]["recoverySnapshotID"] == chosen[0]["snapshot"]


class TestLaunchConfiguration:
    def test_it_sets_what_is_given_and_leaves_the_rest(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server)
        before = hook().conn.get_launch_configuration(sourceServerID=SERVERS[0])
        drs_simulator_server.add_fault("UpdateLaunchConfiguration", error="InternalServerException", times=1)
        task = DrsUpdateLaunchConfigurationOperator(
            task_id="configure", source_server_ids=SERVERS[:2], settings={"launchDisposition": "STOPPED"}, **AWS
        )
        result = task.execute(task_context(task))
        assert sorted(result) == SERVERS[:2]
        after = hook().conn.get_launch_configuration(sourceServerID=SERVERS[0])
        assert after["launchDisposition"] == "STOPPED"
        assert after["copyPrivateIp"] == before["copyPrivateIp"]

    def test_a_misspelt_setting_is_refused_before_anything_runs(self) -> None:
        with pytest.raises(ValueError, match="not a launch setting: launchDispositon"):
            DrsUpdateLaunchConfigurationOperator(
                task_id="configure", source_server_ids=SERVERS, settings={"launchDispositon": "STOPPED"}
            )

    def test_an_unknown_server_fails_at_once(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server)
        task = DrsUpdateLaunchConfigurationOperator(
            task_id="configure", source_server_ids=["s-" + "9" * 17], settings={"copyTags": True}, **AWS
        )
        with pytest.raises(Exception, match="ResourceNotFound"):
            task.execute(task_context(task))


class TestFailback:
    def recovered(self, task_context: Any) -> str:
        task = DrsStartRecoveryOperator(task_id="launch", servers=SERVERS[:1], is_drill=False, **AWS)
        job = task.execute(task_context(task))["jobs"][0]["job_id"]
        finish(job)
        return str(hook().recovery_instances(job_id=job)[0]["recoveryInstanceID"])

    def reverse(self, task_context: Any, *ids: str, region: str = "us-west-2", **more: Any) -> dict[str, str]:
        config = {"retries": {"total_max_attempts": 1}}
        where = {"aws_conn_id": None, "region_name": region, "botocore_config": config}
        task = DrsReverseReplicationOperator(task_id="reverse", recovery_instance_ids=ids, **where, **more)
        return task.execute(task_context(task))

    @pytest.mark.parametrize("fault", [None, {"when": "after"}, {"when": "before"}])
    def test_reverse_replication_happens_once(
        self, drs_simulator_server: Any, task_context: Any, fault: dict[str, str] | None
    ) -> None:
        load(drs_simulator_server, s0={"durations": {"initialisation": 0}})
        instance = self.recovered(task_context)
        if fault:
            drs_simulator_server.add_fault("ReverseReplication", error="InternalServerException", times=1, **fault)
        result = self.reverse(task_context, instance)
        assert list(result) == [instance]
        assert result[instance].startswith("arn:aws:drs:us-east-1:123456789012:source-server/s-")
        assert self.reverse(task_context, instance) == result
        expected = {None: 1, "after": 1, "before": 2}[fault["when"] if fault else None]
        assert len(calls(drs_simulator_server, "ReverseReplication")) == expected

    def test_from_another_zone_it_is_the_same_server_that_replicates(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        load(drs_simulator_server, s0={"durations": {"initialisation": 0}, "origin_region": "us-west-2"})
        instance = self.recovered(task_context)
        (forward,) = hook().source_servers(SERVERS[:1])
        for _ in range(2):
            assert self.reverse(task_context, instance) == {instance: forward["arn"]}
        assert len(calls(drs_simulator_server, "ReverseReplication")) == 1

    def test_what_drs_accepts_and_does_not_begin_is_not_begun(
        self, drs_simulator_server: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator_server, s0={"durations": {"initialisation": 0}})
        instance = self.recovered(task_context)
        sent: list[str] = []
        call = BaseClient._make_api_call

        def lost(client: Any, operation: str, request: Any) -> Any:
            if operation != "ReverseReplication":
                return call(client, operation, request)
            sent.append(request["recoveryInstanceID"])
            return {"reversedDirectionSourceServerArn": "arn:aws:drs:us-east-1:123456789012:source-server/s-gone"}

        monkeypatch.setattr(BaseClient, "_make_api_call", lost)
        with pytest.raises(AirflowException, match=r"not done within .*: DRS accepted it and does not show it"):
            self.reverse(task_context, instance, timeout=timedelta(seconds=2))
        assert sent == [instance], "what was accepted is not asked for again"

    def test_what_drs_says_of_the_origin_is_read_before_anything_is_reversed(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        load(drs_simulator_server, s0={"durations": {"initialisation": 0}})
        instance = self.recovered(task_context)
        # The first call reads the recovery region, the second the origin.
        drs_simulator_server.add_fault("DescribeSourceServers", error="AccessDeniedException", skip=1)
        with pytest.raises(ClientError, match="AccessDenied"):
            self.reverse(task_context, instance)
        assert calls(drs_simulator_server, "ReverseReplication") == []

    @pytest.mark.parametrize(
        ("kind", "operation"),
        [
            (DrsReverseReplicationOperator, "ReverseReplication"),
            (DrsDisconnectRecoveryInstanceOperator, "DisconnectRecoveryInstance"),
        ],
    )
    def test_a_refusal_is_told_at_once(
        self, drs_simulator_server: Any, task_context: Any, kind: Any, operation: str
    ) -> None:
        load(drs_simulator_server)
        instance = self.recovered(task_context)
        drs_simulator_server.add_fault(operation, error="AccessDeniedException", message="not you")
        task = kind(task_id="failback", recovery_instance_ids=[instance], **AWS)
        with pytest.raises(AirflowException, match=f"{instance}: AccessDeniedException: not you"):
            task.execute(task_context(task))
        assert len(calls(drs_simulator_server, operation)) == 1

    @pytest.mark.parametrize(
        ("kind", "operation"),
        [
            (DrsReverseReplicationOperator, "ReverseReplication"),
            (DrsDisconnectRecoveryInstanceOperator, "DisconnectRecoveryInstance"),
        ],
    )
    def test_a_conflict_that_lasts_is_told_when_the_time_is_up(
        self, drs_simulator_server: Any, task_context: Any, kind: Any, operation: str
    ) -> None:
        load(drs_simulator_server)
        instance = self.recovered(task_context)
        drs_simulator_server.add_fault(operation, error="ConflictException", message="busy")
        task = kind(task_id="failback", recovery_instance_ids=[instance], timeout=timedelta(seconds=1), **AWS)
        with pytest.raises(AirflowException, match=f"{instance}: not done within 0:00:01: ConflictException: busy"):
            task.execute(task_context(task))

    def test_an_unknown_instance_is_refused(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server)
        task = DrsReverseReplicationOperator(task_id="reverse", recovery_instance_ids=["i-" + "0" * 17], **AWS)
        with pytest.raises(AirflowException, match="is not a recovery instance here"):
            task.execute(task_context(task))

    @pytest.mark.parametrize("fault", [None, {"when": "after"}, {"when": "before"}])
    def test_disconnect_and_a_second_time(
        self, drs_simulator_server: Any, task_context: Any, fault: dict[str, str] | None
    ) -> None:
        load(drs_simulator_server)
        instance = self.recovered(task_context)
        if fault:
            drs_simulator_server.add_fault(
                "DisconnectRecoveryInstance", error="InternalServerException", times=1, **fault
            )
        for _ in range(2):
            task = DrsDisconnectRecoveryInstanceOperator(
                task_id="disconnect",
                recovery_instance_ids=[instance],
                botocore_config={"retries": {"total_max_attempts": 1}},
                **AWS,
            )
            assert task.execute(task_context(task)) == [instance]
        expected = {None: 1, "after": 1, "before": 2}[fault["when"] if fault else None]
        assert len(calls(drs_simulator_server, "DisconnectRecoveryInstance")) == expected
