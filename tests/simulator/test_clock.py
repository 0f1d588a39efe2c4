"""The clock, what is due by it, and the log that outlives a kill."""

from __future__ import annotations

import json
import math
import threading
import time
from types import SimpleNamespace

import boto3
import pytest

from drs_provider.simulator import clock as clocks
from drs_provider.simulator.clock import Clock
from drs_provider.simulator.event_log import EventLog


def test_phases_are_divided_by_the_speed_and_timestamps_are_not():
    clock = Clock(speed=60)
    assert clock.scaled(120) == 2
    before, now, after = time.time(), clock.now(), time.time()
    assert before <= now <= after


def test_callbacks_come_in_order_and_see_their_own_time():
    clock = Clock()
    clock.freeze()
    began, seen = clock.now(), []
    for seconds in (30, 10, 20):
        clock.call_in(seconds, lambda: seen.append(clock.now() - began))
    clock.call_in(10, lambda: clock.call_in(5, lambda: seen.append(clock.now() - began)))
    clock.advance(25)
    assert seen == pytest.approx([10, 15, 20])
    assert clock.now() == pytest.approx(began + 25)
    clock.advance(5)
    assert seen[-1] == pytest.approx(30)


def test_a_frozen_clock_stands_still_and_goes_on_from_there(monkeypatch):
    wall = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(clocks, "time", SimpleNamespace(time=lambda: wall.at))
    clock = Clock()
    clock.freeze()
    wall.at += 50
    assert clock.now() == 1000 and clock.frozen
    clock.advance(100)
    clock.resume()
    assert clock.now() == 1100 and not clock.frozen
    wall.at += 7
    assert clock.now() == 1107


@pytest.mark.parametrize("number", [-1, math.inf, math.nan])
def test_time_neither_goes_back_nor_is_infinite(number):
    clock = Clock()
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(number)
    with pytest.raises(ValueError, match="above 0"):
        clock.set_speed(number)


def test_the_timer_thread_calls_when_nobody_asks():
    clock = Clock(speed=10)
    clock.start()
    try:
        done = threading.Event()
        cancelled = clock.call_in(0.5, lambda: pytest.fail("was cancelled"))
        cancelled.cancel()
        due = clock.call_in(1, done.set).due
        assert done.wait(60)
        assert time.time() >= due, "a tenth of a second later"
    finally:
        clock.stop()


def test_a_callback_that_fails_stops_no_other():
    clock = Clock()
    clock.freeze()
    seen = []
    clock.call_in(1, lambda: 1 / 0)
    clock.call_in(2, lambda: seen.append("on"))
    clock.advance(3)
    assert seen == ["on"]


def test_the_log_is_one_json_line_each_from_many_threads(tmp_path):
    log = EventLog(tmp_path / "deep" / "log.jsonl")

    def write(number: int) -> None:
        for n in range(200):
            log.event(float(n), "JOB_START", job=f"job-{number}", server=None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]  # type: ignore[union-attr]
    assert len(lines) == 1600 == len(log.entries())
    assert lines[0] == {"t": 0.0, "event": "JOB_START", "job": lines[0]["job"], "server": None}
    log.close()
    again = EventLog(log.path)
    again.call(1.0, "DescribeJobs", {}, 200, None, service="drs")
    again.close()
    assert len(log.path.read_text().splitlines()) == 1601, "appended to"  # type: ignore[union-attr]


def test_the_controls_over_http(drs_simulator_server):
    simulator = drs_simulator_server
    simulator.load({"servers": [{"id": "s-00000000000000001", "hostname": "a"}]}, speed=5.0)
    simulator.freeze()
    drs = boto3.client("drs")
    drs.start_recovery(sourceServers=[{"sourceServerID": "s-00000000000000001"}])
    simulator.advance(120)  # Clock seconds: 600 of AWS.
    assert drs.describe_jobs()["items"][0]["status"] == "COMPLETED"
    events = [entry["event"] for entry in simulator.log if "event" in entry]
    assert events[0] == "JOB_START" and events[-1] == "JOB_END"
    written = [json.loads(line) for line in simulator.log_path.read_text().splitlines()]
    assert [entry for entry in written if "event" in entry] == [entry for entry in simulator.log if "event" in entry]
    simulator.reset()
    assert drs.describe_jobs()["items"] == []
    simulator.add_fault("DescribeJobs", error="ThrottlingException", times=7)
    assert [(one["error"], one["times"], one["struck"]) for one in simulator.faults()] == [
        ("ThrottlingException", 7, 0)
    ]
    simulator.clear_faults()
    assert simulator.faults() == []
    simulator.clear_log()
    assert simulator.log_path.read_text() == ""


def test_what_is_wrong_with_a_control_is_said(drs_simulator_server):
    for call in (
        lambda: drs_simulator_server.load({"servers": [{"id": "x", "hostname": "a"}]}),
        lambda: drs_simulator_server.add_fault("StartRecovery"),
        lambda: drs_simulator_server.advance(-5),
        lambda: drs_simulator_server.load("/nowhere/scenario.yaml"),
    ):
        with pytest.raises(RuntimeError, match=r"servers\[0\].id|a fault needs|only moves forward|No such file"):
            call()
    assert boto3.client("drs").describe_jobs()["items"] == []


def test_a_new_scenario_forgets_the_old_one(drs_simulator):
    drs_simulator.freeze()
    drs_simulator.load({"servers": [{"id": "s-00000000000000001", "hostname": "a"}]})
    drs = boto3.client("drs", "us-west-2")
    drs.start_recovery(sourceServers=[{"sourceServerID": "s-00000000000000001"}])
    boto3.client("sns", "us-west-2").create_topic(Name="events")
    drs_simulator.load({"servers": [{"id": "s-00000000000000002", "hostname": "b"}]})
    drs_simulator.advance(1000)
    assert drs.describe_jobs()["items"] == []
    assert [one["sourceServerID"] for one in drs.describe_source_servers()["items"]] == ["s-00000000000000002"]
    assert boto3.client("ec2", "us-west-2").describe_instances()["Reservations"] == []
    assert boto3.client("sns", "us-west-2").list_topics()["Topics"] == []
    assert not [entry for entry in drs_simulator.log if entry.get("event") == "JOB_START"]


def test_a_new_scenario_begins_at_the_time_of_the_wall_clock(drs_simulator):
    drs_simulator.advance(1400)
    drs_simulator.load({})
    assert drs_simulator.clock.now() == pytest.approx(time.time(), abs=60)
