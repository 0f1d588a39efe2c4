"""A standby that existed before the drill, and is launched into."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import yaml

from tests.cases.world import ONE, REGION, STANDBY, Case, of


@contextmanager
def _standby(case: Case, *, stopped: bool = True, tagged: bool = True) -> Iterator[Any]:
    ec2, drs = boto3.client("ec2", REGION), boto3.client("drs", REGION)
    into = {"launchIntoEC2InstanceID": STANDBY}
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into, copyTags=False)
    if stopped:
        ec2.stop_instances(InstanceIds=[STANDBY])
        case.simulation.advance(60)  # It takes a while.
    if not tagged:
        ec2.delete_tags(Resources=[STANDBY], Tags=[{"Key": "AWSDRS"}])
    case.simulation.events.clear()
    yield ec2


def _state_of(ec2: Any) -> str:
    (group,) = ec2.describe_instances(InstanceIds=[STANDBY])["Reservations"]
    return str(group["Instances"][0]["State"]["Name"])


@of("launch-into")
@pytest.mark.parametrize("tagged", [True, False], ids=["by its tag", "by the launch settings"])
def test_a_drill_stops_what_was_there_before(case: Case, tagged: bool) -> None:
    with _standby(case) as ec2:
        if not tagged:
            # Somebody takes the tag away while the drill runs.
            original = case.simulation.record

            def untag(event: str, *args: Any, **more: Any) -> None:
                original(event, *args, **more)
                if event == "LAUNCH_END":
                    ec2.delete_tags(Resources=[STANDBY], Tags=[{"Key": "AWSDRS"}])

            case.monkeypatch.setattr(case.simulation, "record", untag)
        run = case.run()
        assert run.state == "success"
        assert _state_of(ec2) == "stopped"
    assert case.launched == [ONE]
    assert not case.calls("TerminateRecoveryInstances")
    assert not case.calls("TerminateInstances")
    (stopped,) = case.calls("StopInstances")
    assert STANDBY in str(stopped)
    assert run.report["termination"]["stopped"] == [STANDBY]
    assert run.report["termination"]["terminated"] == []
    assert "stopped, was there before" in run.text


@of("launch-into")
def test_the_next_drill_launches_into_it_again(case: Case) -> None:
    with _standby(case) as ec2:
        assert case.run(run_id="run0").state == "success"
        time.sleep(0.1)
        assert case.run(run_id="run1").state == "success"
        assert _state_of(ec2) == "stopped"
    assert case.launched == [ONE, ONE]
    assert not case.calls("TerminateRecoveryInstances")


@of("launch-into")
def test_a_rollback_stops_it_too(case: Case) -> None:
    case.simulation.load(
        {
            **yaml.safe_load((case.folder / "scenario.yaml").read_text()),
            "documents": {"Case-Fails": {"kind": "Automation", "duration": 1, "outcome": "Failed"}},
        },
        speed=60,
    )
    waves = [
        {
            "name": "app",
            "servers": [{"id": ONE}],
            "on_failure": "rollback",
            "post_launch": [{"name": "fails", "automation": "Case-Fails"}],
        }
    ]
    with _standby(case) as ec2:
        run = case.run("recovery", case.plan(waves=waves))
        assert run.state == "failed"
        assert _state_of(ec2) == "stopped"
    assert not case.calls("TerminateRecoveryInstances")
    assert run.wave("app")["rollback"]["stopped"] == [STANDBY]


@of("launch-into")
def test_check_says_what_it_will_be_launched_into(case: Case) -> None:
    with _standby(case):
        code, answer = case.check()
    assert code == 0
    (finding,) = [one for one in answer["findings"] if one["code"] == "launches-into"]
    assert STANDBY in finding["message"]
    assert finding["severity"] == "warning"


@of("launch-into")
@pytest.mark.parametrize(
    ("how", "words"), [({"stopped": False}, "is running, not stopped"), ({"tagged": False}, "lacks the tag AWSDRS")]
)
def test_check_finds_a_standby_that_cannot_be_launched_into(case: Case, how: dict[str, bool], words: str) -> None:
    with _standby(case, **how):
        code, answer = case.check()
    assert code == 1
    (finding,) = [one for one in answer["findings"] if one["code"] == "launch-into-unusable"]
    assert words in finding["message"]
