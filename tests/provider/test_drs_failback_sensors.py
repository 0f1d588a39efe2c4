"""The waits of a failback: in a worker with the clock in hand, and deferred over HTTP to the simulator."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.drs.progress import Progress
from drs_provider.aws.drs.standstill import Standstill
from drs_provider.sensors import drs_failback as sensors
from drs_provider.sensors.drs_failback import DrsFailbackSyncSensor, DrsProtectionSensor
from drs_provider.triggers import drs_failback as triggers
from tests.provider.failback_world import World
from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, RECOVERY, Client

HERE: dict[str, Any] = {"aws_conn_id": None, "region_name": RECOVERY, "poke_interval": 0.3}
THERE: dict[str, Any] = {**HERE, "region_name": ORIGIN}


def test_a_stalled_sync_is_reported_once_and_goes_on(
    drs_simulator: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(drs_simulator, task_context, monkeypatch)
    client = world.client.until("sync")
    monkeypatch.setattr(triggers, "time", SimpleNamespace(time=drs_simulator.clock.now))
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__STALL_AFTER", "10m")
    told: list[str] = []
    log = SimpleNamespace(
        info=lambda text, *args: told.append(text % args), warning=lambda text, *args: told.append("! " + text % args)
    )
    monkeypatch.setattr(triggers.DrsFailbackSyncTrigger, "log", log, raising=False)
    ec2 = boto3.client("ec2", RECOVERY)
    world.later[300] = lambda: ec2.stop_instances(InstanceIds=[client.b2])
    world.later[1800] = lambda: ec2.start_instances(InstanceIds=[client.b2])
    sensor = DrsFailbackSyncSensor(task_id="sync", source_server_ids=[client.a2], **THERE)
    result = sensor.execute(task_context(sensor))[client.a2]
    assert (result["state"], result["lag_seconds"], result["instance"]) == ("CONTINUOUS", 0.0, client.b2)
    assert result["rescanned_bytes"] == result["total_bytes"] > 0
    assert 1400 < result["stood_still_seconds"] < 1700
    warnings = [line for line in told if line.startswith("!")]
    assert len(warnings) == 2
    assert f"{client.a2} has made no progress for 10m" in warnings[0] and "STALLED (AGENT_NOT_SEEN)" in warnings[0]
    assert "goes on after" in warnings[1]
    copying = next(line for line in told if "INITIAL_SYNC" in line)
    assert "% of" in copying and "ETA" in copying
    assert any("CONTINUOUS" in line and "lag" in line for line in told), "CONTINUOUS, and not in sync yet"
    unknown = "s-" + "9" * 17
    sensor = DrsFailbackSyncSensor(task_id="sync", source_server_ids=[client.a2, unknown], **THERE)
    with pytest.raises(AirflowException, match=f"DRS has no source server {unknown} here"):
        sensor.execute(task_context(sensor))


def test_what_only_the_forward_server_shows_is_no_protection(
    drs_simulator: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launched into the original, B1 names it and is whole before anything replicates it."""
    world = World(drs_simulator, task_context, monkeypatch)
    client = world.client.until("repair_template")
    world.launch_into_the_original()
    client.launch_back()
    assert client.whole(client.recovery, B1) and client.hint(client.recovery, B1) == A1
    late = DrsProtectionSensor(task_id="wait", launched={A1: B1}, peer_region_name=ORIGIN, timeout=1, **HERE)
    with pytest.raises(AirflowException, match=f"Protection is not complete in time; {B1}: {A1} itself is NOT_STARTED"):
        late.execute(task_context(late))
    world.later.clear()
    client.protect_again()
    sensor = DrsProtectionSensor(task_id="wait", launched={A1: B1}, peer_region_name=ORIGIN, **HERE)
    assert sensor.execute(task_context(sensor))[B1]["instance"] == A1
    assert client.whole(client.recovery, B1) and client.state(client.origin, A1) == "CONTINUOUS"
    wrong = DrsFailbackSyncSensor(task_id="sync", source_server_ids=[B1], **HERE)
    with pytest.raises(AirflowException, match=f"{B1} is of direction FAILOVER"):
        wrong.execute(task_context(wrong))


def test_both_waits_in_the_triggerer(drs_simulator_server: Any, task_context: Any, run_task: Any) -> None:
    """Each trigger is made anew from its serialised state; and the origin fails to answer when it is asked last."""
    durations = {"initiation": 60, "initial_sync": 600, "rescan": 600, "catch_up": 300, "initialisation": 0}
    server = {"id": B1, "hostname": "db01", "origin_region": ORIGIN, "launched": "recovery", "durations": durations}
    drs_simulator_server.load({"servers": [server], "accounts": [{"region": ORIGIN}]}, speed=1000)
    drs_simulator_server.freeze()
    client = Client(lambda seconds: drs_simulator_server.advance(seconds / 1000))

    def deferred(trigger: Any) -> None:
        drs_simulator_server.resume()

    client.b2 = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    client.reverse()
    sync = DrsFailbackSyncSensor(task_id="sync", source_server_ids={client.b2: client.a2}, deferrable=True, **THERE)
    outcome = run_task(sync, task_context(sync), while_deferred=deferred)
    drs_simulator_server.freeze()
    assert len(outcome.triggers) == 1
    assert outcome.value[client.a2]["state"] == "CONTINUOUS"
    client.repair_template()
    client.launch_back()
    client.protect_again()
    launched = {client.a3: f"arn:aws:drs:{RECOVERY}:123456789012:source-server/{B1}"}
    wait = DrsProtectionSensor(task_id="wait", launched=launched, peer_region_name=ORIGIN, deferrable=True, **HERE)
    drs_simulator_server.add_fault("DescribeRecoveryInstances", error="ThrottlingException", times=2)
    outcome = run_task(wait, task_context(wait), while_deferred=deferred)
    assert len(outcome.triggers) == 1
    assert (outcome.value[B1]["state"], outcome.value[B1]["instance"]) == ("CONTINUOUS", client.a3)
    assert client.whole(client.recovery, B1)


def test_a_setting_that_is_no_duration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__STALL_AFTER", "soon")
    with pytest.raises(AirflowException, match=r"\[drs_provider\] stall_after is 'soon'"):
        sensors.stall_after()


def test_a_lag_that_grows_is_no_progress() -> None:
    begun = Progress("CONTINUOUS", lag=60, total=100, replicated=100, rescanned=80, backlogged=10)
    watch = Standstill(after=100)
    assert watch.look({"s": begun}, 0) == []
    assert watch.look({"s": replace(begun, lag=90, backlogged=20)}, 90) == []
    (line,) = watch.look({"s": replace(begun, lag=160, backlogged=20)}, 160)
    assert line.startswith("s has made no progress for 2m40s: CONTINUOUS, 80 % of 100 B rescanned, lag 2m40s")
    assert watch.look({"s": replace(begun, lag=260, backlogged=20)}, 260) == []
    (line,) = watch.look({"s": replace(begun, lag=30)}, 300)
    assert line.startswith("s goes on after 5m")
