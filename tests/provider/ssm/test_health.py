"""Instances are healthy: EC2 status checks, agents, a port, an HTTP answer; by worker, deferred, by script."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from drs_provider.operators.ssm_probes import http_document, tcp_document
from drs_provider.sensors.health import (
    Ec2InstanceStatusSensor,
    HttpHealthSensor,
    SsmAgentOnlineSensor,
    TcpPortSensor,
)
from drs_provider.triggers import health

BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


def sensor(kind: type, **arguments: Any) -> Any:
    arguments = {"timeout": 120, "poke_interval": 0.3, **arguments}
    return kind(task_id="health", aws_conn_id=None, region_name="us-west-2", **arguments)


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that every instance that EC2 knows is this machine."""
    original = health.addresses_of

    async def loopback(*arguments: Any) -> dict[str, str]:
        return dict.fromkeys(await original(*arguments), "127.0.0.1")

    monkeypatch.setattr(health, "addresses_of", loopback)


@pytest.fixture
def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """An HTTP service on this machine that answers with the statuses of a list, the last one repeating."""

    def __init__(self, port: int, *statuses: int) -> None:
        self.paths: list[str] = []
        self.hosts: list[str] = []
        left = list(statuses)
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.paths.append(self.path)
                service.hosts.append(self.headers["Host"])
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Content-Length", "0")
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve(free_port: int) -> Iterator[Any]:
    """Start services on the free port."""
    started: list[Service] = []

    def start(*statuses: int) -> Service:
        started.append(Service(free_port, *statuses))
        return started[-1]

    yield start
    for service in started:
        service.close()


@BOTH
def test_status_checks_of_many_instances_are_asked_in_batches(region, run_task, task_context, deferrable):
    ids = region.load_instances(120)
    task = sensor(Ec2InstanceStatusSensor, instances=ids, deferrable=deferrable)
    assert run_task(task, task_context(task)).value == dict.fromkeys(ids, "ok")


@BOTH
def test_an_instance_that_does_not_run_is_named_at_the_deadline(region, run_task, task_context, deferrable):
    ids = region.load(2)
    boto3.client("ec2").stop_instances(InstanceIds=[ids[1]])
    task = sensor(Ec2InstanceStatusSensor, instances=ids, timeout=1, deferrable=deferrable)
    with pytest.raises(AirflowException, match=f"not in time on 1 of 2 instances: {ids[1]}: stopped"):
        run_task(task, task_context(task))


@BOTH
def test_a_terminated_instance_is_not_waited_for(region, run_task, task_context, deferrable):
    ids = region.load(2)
    boto3.client("ec2").terminate_instances(InstanceIds=[ids[0]])
    task = sensor(Ec2InstanceStatusSensor, instances=ids, timeout=60, deferrable=deferrable)
    with pytest.raises(AirflowException, match=f"1 instances are gone: {ids[0]}: (shutting-down|terminated)"):
        run_task(task, task_context(task))


@BOTH
def test_throttled_status_checks_go_on(region, run_task, task_context, deferrable):
    ids = region.load(1)
    region.add_fault("DescribeInstanceStatus", error="RequestLimitExceeded", status=503, times=2)
    once = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
    task = sensor(Ec2InstanceStatusSensor, instances=ids, deferrable=deferrable, botocore_config=once)
    assert run_task(task, task_context(task)).value == {ids[0]: "ok"}


def test_a_refusal_that_does_not_pass_fails_the_task(region, run_task, task_context):
    ids = region.load(1)
    region.add_fault("DescribeInstanceStatus", error="UnauthorizedOperation", status=403, message="not allowed")
    task = sensor(Ec2InstanceStatusSensor, instances=ids, timeout=60)
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        run_task(task, task_context(task))


@BOTH
def test_agents_come_online(region, run_task, task_context, deferrable):
    # They are not online yet when the task defers, however slow this machine is.
    speed = 1 if deferrable else 600
    ids = region.load(2, speed=speed, agent={"online_after": 600}, server={2: {"os": "windows"}})
    task = sensor(SsmAgentOnlineSensor, instances=ids, deferrable=deferrable)
    outcome = run_task(task, task_context(task), while_deferred=lambda _: region.simulator.advance(600))
    assert outcome.value == {ids[0]: "Linux", ids[1]: "Windows"}
    assert len(outcome.triggers) == (1 if deferrable else 0)


@BOTH
def test_agents_that_stay_away_are_named(region, run_task, task_context, deferrable):
    ids = region.load(2, server={1: {"agent": {"never": True}}})
    task = sensor(SsmAgentOnlineSensor, instances=ids, timeout=1, soft_fail=True, deferrable=deferrable)
    with pytest.raises(AirflowSkipException, match=f"waiting for {ids[0]} not registered"):
        run_task(task, task_context(task))


@BOTH
@pytest.mark.usefixtures("on_loopback")
def test_a_port_is_open_some_time_later(region, run_task, task_context, deferrable, serve, free_port):
    ids = region.load(2)
    opening = threading.Timer(1, serve, args=[200])
    if not deferrable:
        opening.start()
    task = sensor(TcpPortSensor, instances=ids, port=free_port, deferrable=deferrable)
    outcome = run_task(task, task_context(task), while_deferred=lambda _: opening.start())
    opening.join()
    assert outcome.value == dict.fromkeys(ids, "127.0.0.1")
    assert len(outcome.triggers) == (1 if deferrable else 0)


@BOTH
@pytest.mark.usefixtures("on_loopback")
def test_a_port_that_stays_closed_is_told_for_each_instance(region, run_task, task_context, deferrable, free_port):
    ids = region.load(2)
    task = sensor(TcpPortSensor, instances=ids, port=free_port, timeout=1, deferrable=deferrable)
    with pytest.raises(AirflowException) as failure:
        run_task(task, task_context(task))
    assert f"TCP port {free_port}: not in time on 2 of 2 instances: {ids[0]}: 127.0.0.1: " in str(failure.value)
    assert "Connection refused" in str(failure.value)


def test_an_instance_without_a_public_address_is_told(region, run_task, task_context, free_port, monkeypatch):
    ids = region.load(1)

    async def nothing(*_: Any) -> dict[str, str]:
        return {}

    monkeypatch.setattr(health, "addresses_of", nothing)
    task = sensor(TcpPortSensor, instances=ids, port=free_port, timeout=1, address="public")
    with pytest.raises(AirflowException, match=f"{ids[0]}: no public address"):
        run_task(task, task_context(task))


def test_addresses_are_those_of_ec2(region):
    from drs_provider.aws.calls import BlockingCalls, run_blocking

    ids = region.load(2)
    client = boto3.client("ec2")
    listed = client.describe_instances(InstanceIds=ids)["Reservations"]
    expected = {one["InstanceId"]: one["PrivateIpAddress"] for group in listed for one in group["Instances"]}
    assert run_blocking(health.addresses_of(BlockingCalls(client), ids, "private")) == expected


@BOTH
@pytest.mark.usefixtures("on_loopback")
def test_http_becomes_healthy(region, run_task, task_context, deferrable, serve, free_port):
    ids = region.load(1)
    service = serve(503, 503, 302, 204)
    task = sensor(
        HttpHealthSensor,
        instances=ids,
        path="/healthz?deep=1",
        port=free_port,
        expected_status=204,
        headers={"Host": "shop.example"},
        deferrable=deferrable,
    )
    assert run_task(task, task_context(task)).value == {ids[0]: "127.0.0.1"}
    assert set(service.paths) == {"/healthz?deep=1"}
    assert set(service.hosts) == {"shop.example"}


@BOTH
@pytest.mark.usefixtures("on_loopback")
def test_http_that_stays_unhealthy_is_told_with_its_status(
    region, run_task, task_context, deferrable, serve, free_port
):
    ids = region.load(1)
    serve(500)
    task = sensor(HttpHealthSensor, instances=ids, port=free_port, timeout=1, deferrable=deferrable)
    with pytest.raises(AirflowException, match=f"{ids[0]}: 127.0.0.1 answered 500"):
        run_task(task, task_context(task))


@BOTH
def test_by_a_script_each_platform_gets_its_own(region, run_task, task_context, deferrable):
    documents = {
        "AWS-RunShellScript": {"duration": 10, "output": "port 5432 accepts connections"},
        "AWS-RunPowerShellScript": {"duration": 10, "output": "port 5432 accepts connections"},
    }
    ids = region.load(2, server={2: {"os": "windows"}}, documents=documents)
    task = sensor(TcpPortSensor, instances=ids, port=5432, via="ssm", deferrable=deferrable)
    outcome = run_task(task, task_context(task))
    sent = {call["params"]["DocumentName"]: call["params"]["InstanceIds"] for call in region.calls("SendCommand")}
    assert sent == {"AWS-RunShellScript": [ids[0]], "AWS-RunPowerShellScript": [ids[1]]}
    assert outcome.value["instances"][ids[0]]["output_tail"] == "port 5432 accepts connections"


@BOTH
def test_by_a_script_the_failure_says_what_the_instance_said(region, run_task, task_context, deferrable):
    failed = {"outcome": "Failed", "exit_code": 1, "output": "answered 503, expected 200"}
    ids = region.load(1, documents={"AWS-RunShellScript": {"duration": 20, "instances": {"host001": failed}}})
    task = sensor(HttpHealthSensor, instances=ids, path="/up", via="ssm", deferrable=deferrable)
    with pytest.raises(AirflowException, match="answered 503, expected 200"):
        run_task(task, task_context(task))


def test_no_instance_is_no_health(region, run_task, task_context):
    region.load(0)
    launch = {"servers": {"s-1": {"ec2_instance_id": None, "launch_status": "FAILED", "reason": "no subnet"}}}
    task = sensor(Ec2InstanceStatusSensor, instances=launch)
    with pytest.raises(AirflowException, match="no instance to look at: s-1: no subnet"):
        run_task(task, task_context(task))


def run_shell(document: tuple[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the script of a document as the agent does."""
    name, parameters = document
    assert name == "AWS-RunShellScript"
    return subprocess.run(["sh", "-c", "\n".join(parameters["commands"])], capture_output=True, text=True, check=False)


def test_the_shell_scripts_do_what_they_say(serve, free_port):
    serve(200)
    url = f"http://127.0.0.1:{free_port}/it's up?a=$HOME"
    healthy = run_shell(http_document("Linux", url=url.replace(" ", "%20"), expected_status=200, seconds=5))
    assert (healthy.returncode, healthy.stdout) == (0, "answered 200\n")
    ill = run_shell(http_document("Linux", url=url.replace(" ", "%20"), expected_status=204, seconds=0))
    assert (ill.returncode, ill.stdout) == (1, "answered 200, expected 204\n")
    opened = run_shell(tcp_document("Linux", host="127.0.0.1", port=free_port, seconds=5))
    assert (opened.returncode, opened.stdout) == (0, f"port {free_port} accepts connections\n")


def test_the_shell_scripts_fail_where_nobody_listens(free_port):
    closed = run_shell(tcp_document("Linux", host="127.0.0.1", port=free_port, seconds=0))
    assert (closed.returncode, closed.stdout) == (1, f"port {free_port} accepts no connection\n")
    silent = run_shell(http_document("Linux", url=f"http://127.0.0.1:{free_port}/", expected_status=200, seconds=0))
    assert (silent.returncode, silent.stdout) == (1, "curl ended with status 7\n")


def test_the_powershell_scripts_quote_what_they_are_given():
    name, parameters = http_document("Windows", url="http://localhost/it's", expected_status=200, seconds=60)
    assert name == "AWS-RunPowerShellScript"
    assert (
        "    $code = [int](Invoke-WebRequest -UseBasicParsing -Uri 'http://localhost/it''s' -TimeoutSec 10 "
        in "\n".join(parameters["commands"])
    )
