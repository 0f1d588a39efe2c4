"""The runs that show what makes a plan safe to press, each with a flow that acts at the right moments, as people do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.e2e.stack import REGION, Stack, servers

Flow = Iterator[Callable[[], Any]]

_UNDECIDED = (None, "scheduled", "queued", "running", "deferred", "awaiting_input", "up_for_retry", "restarting")


class Runs:
    """The runs of this module, and what is asked of each of them.

    :param stack: Airflow and the simulator.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.ids: dict[str, str] = {}
        self.seen: dict[str, Any] = {}
        self.aws = {
            service: boto3.client(
                service,
                region_name=REGION,
                endpoint_url=stack.simulator.endpoint_url,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            for service in ("drs", "ec2")
        }

    def start(self, name: str, dag_id: str | None = None, user: str = "admin", **conf: Any) -> None:
        dag_id = dag_id or name
        self.stack.airflow.wait_for_dag(dag_id)
        self.ids[name] = self.stack.as_user(user).trigger(dag_id, conf)

    def dag_id(self, name: str) -> str:
        return name.partition("-")[0]

    def state(self, name: str) -> str:
        return str(self.stack.api.run(self.dag_id(name), self.ids[name])["state"])

    def ended(self, name: str) -> Callable[[], bool]:
        return lambda: self.state(name) in FINISHED_STATES

    def tasks(self, name: str) -> dict[str, str | None]:
        return self.stack.states(self.dag_id(name), self.ids[name])

    def waits(self, name: str, task: str) -> Callable[[], bool]:
        """Whether a task has been waiting for an answer for a moment: people are slower than a worker that ends."""
        first_seen: list[float] = []

        def condition() -> bool:
            if not self.asks(name, task):
                first_seen.clear()
            elif not first_seen:
                first_seen.append(time.monotonic())
            return bool(first_seen and time.monotonic() - first_seen[0] > 3)

        return condition

    def asks(self, name: str, task: str) -> bool:
        """Whether a task waits for an answer."""
        return task in self.stack.api.pending_approvals(self.dag_id(name), self.ids[name])

    def decide(self, user: str, name: str, task: str, option: str = "Approve", **fields: str) -> Flow:
        """Answer for a user. On a busy machine Airflow can lose an answer that comes while the worker that asked still
        ends, and asks again; so does the person."""

        def over() -> bool:
            return self.tasks(name)[task] not in _UNDECIDED

        while not over():
            waiting = self.waits(name, task)
            yield lambda waiting=waiting: waiting() or over()  # type: ignore[misc]
            if over():
                return
            self.stack.as_user(user).answer_approval(self.dag_id(name), self.ids[name], task, option, **fields)
            yield lambda: over() or self.asks(name, task)

    def mark(self, name: str, task: str, state: str) -> None:
        """Mark a task, as a person does in the UI."""
        path = f"/dags/{self.dag_id(name)}/dagRuns/{self.ids[name]}/taskInstances/{task}"
        self.stack.api.call("PATCH", path, json={"new_state": state})

    def mark_failed(self, name: str) -> None:
        """Mark a run as failed, as a person does in the UI."""
        path = f"/dags/{self.dag_id(name)}/dagRuns/{self.ids[name]}"
        self.stack.api.call("PATCH", path, json={"state": "failed"})

    def report(self, name: str) -> dict[str, Any]:
        return self.stack.report(self.dag_id(name), self.ids[name])

    def launches(self, name: str) -> dict[str, list[str]]:
        return self.stack.seen(self.dag_id(name), self.ids[name]).launches()

    def log(self, name: str, task: str) -> str:
        return self.stack.log_of(self.dag_id(name), self.ids[name], task)

    def instances(self, tier: str) -> list[dict[str, Any]]:
        """The recovery instances of a tier's one server, as DRS shows them."""
        (server,) = servers(tier, 1)
        answer = self.aws["drs"].describe_recovery_instances(filters={"sourceServerIDs": [server["id"]]})
        return list(answer["items"])

    def terminations(self) -> list[str]:
        """The recovery instances that were asked to end, in the order of the calls."""
        calls = self.stack.simulator.log.calls("TerminateRecoveryInstances")
        return [one for call in calls if not call["error"] for one in call["params"]["recoveryInstanceIDs"]]

    def terminations_of(self, *tiers: str) -> list[str]:
        """The recovery instances of tiers that were asked to end."""
        ours = {each["recoveryInstanceID"] for tier in tiers for each in self.instances(tier)}
        return [one for one in self.terminations() if one in ours]

    def clear(self, name: str, *tasks: str, downstream: bool = True) -> None:
        """Clear tasks, with everything downstream, as a person does in the UI. The run is not ended from then on."""
        body = {
            "dry_run": False,
            "dag_run_id": self.ids[name],
            "only_failed": False,
            "task_ids": list(tasks),
            "include_downstream": downstream,
        }
        self.stack.api.call("POST", f"/dags/{self.dag_id(name)}/clearTaskInstances", json=body)


def guarded(runs: Runs) -> Flow:
    """bob starts a recovery, alice approves it; its last wave fails, and the whole recovery is unwound."""
    runs.start("guarded", user="bob", mode="recovery", confirm="guarded")
    yield runs.waits("guarded", "confirm")
    with pytest.raises(httpx.HTTPStatusError) as refused:
        runs.stack.as_user("carol").answer_approval("guarded", runs.ids["guarded"], "confirm", "Approve")
    runs.seen["carol"] = refused.value.response.status_code
    yield from runs.decide("alice", "guarded", "confirm")
    # The waves before it were up: one person answers for the whole rollback.
    yield lambda: runs.asks("guarded", "top.rollback")
    runs.seen["unanswered"] = len(runs.terminations_of("gbase", "gmid", "gtopok"))
    yield from runs.decide("alice", "guarded", "top.rollback")
    yield runs.ended("guarded")
    runs.seen["before"] = len(runs.terminations())
    task = f"/dags/guarded/dagRuns/{runs.ids['guarded']}/taskInstances"
    clear = {"dry_run": False, "dag_run_id": runs.ids["guarded"], "only_failed": False}
    runs.stack.api.call(
        "POST", "/dags/guarded/clearTaskInstances", json={**clear, "task_ids": ["middle.rollback", "top.rollback"]}
    )
    runs.seen["task"] = task
    yield runs.ended("guarded")


def second(runs: Runs) -> Flow:
    """alice starts a recovery and tries to approve it herself."""
    runs.start("second", user="alice", mode="recovery", confirm="second")
    yield from runs.decide("alice", "second", "confirm")
    yield runs.ended("second")


def pair(runs: Runs) -> Flow:
    """bob starts a recovery that two people have to approve: alice does, tries it again, and then carol does."""
    runs.start("pair", user="bob", mode="recovery", confirm="pair")
    tries = lambda: runs.stack.api.task_instances("pair", runs.ids["pair"])["confirm"]["try_number"]  # noqa: E731
    for _ in range(2):
        yield runs.waits("pair", "confirm")
        before = tries()
        runs.stack.as_user("alice").answer_approval("pair", runs.ids["pair"], "confirm", "Approve")
        yield lambda before=before: tries() > before  # type: ignore[misc]
    runs.seen["pair"] = runs.launches("pair")
    yield from runs.decide("carol", "pair", "confirm")
    yield runs.ended("pair")


def glass(runs: Runs) -> Flow:
    """No approver answers: alice, who may not, breaks the glass; somebody clears that; dora, who may, breaks it."""
    runs.start("glass", user="bob", mode="recovery", confirm="glass")
    yield from runs.decide("alice", "glass", "confirm", "Break glass", reason="I am in a hurry")
    yield runs.ended("glass")
    runs.seen["glass"] = (runs.state("glass"), runs.launches("glass"), runs.log("glass", "confirm"))
    runs.clear("glass", "confirm")
    yield from runs.decide("dora", "glass", "confirm", "Break glass", reason="alice does not answer")
    yield runs.ended("glass")


def throttled(runs: Runs) -> Flow:
    """AWS throttles everything about a server from right before its launch on, for an hour of its time."""
    runs.start("throttled", mode="recovery", confirm="throttled")
    yield lambda: runs.asks("throttled", "only.approve")
    (server,) = servers("thrott", 1)
    fault = runs.stack.simulator.control(
        "POST", "/faults", {"operation": "*", "contains": server["id"], "error": "ThrottlingException"}
    )
    yield from runs.decide("carol", "throttled", "only.approve")
    began = time.monotonic()
    yield lambda: time.monotonic() - began > 60 and runs.tasks("throttled")["only.launch"] == "deferred"
    runs.seen["throttled"] = runs.launches("throttled")
    runs.stack.simulator.control("DELETE", f"/faults?id={fault['id']}")
    yield runs.ended("throttled")


def denied(runs: Runs) -> Flow:
    """AWS refuses a launch for good."""
    (server,) = servers("denied", 1)
    fault = {"operation": "StartRecovery", "contains": server["id"], "error": "AccessDeniedException"}
    runs.stack.simulator.control("POST", "/faults", fault)
    runs.start("denied", mode="recovery", confirm="denied")
    yield runs.ended("denied")


def gated(runs: Runs) -> Flow:
    """Before its waves: nobody answers, alice rejects, and carol approves where anyone may."""
    runs.start("gated", user="bob")
    yield from runs.decide("alice", "gated", "refused.approve", "Reject")
    yield from runs.decide("carol", "gated", "approved.approve")
    yield runs.ended("gated")


def checked(runs: Runs) -> Flow:
    """A drill that is not ready, and then a recovery that goes on in spite of one finding."""
    runs.start("checked")
    yield runs.ended("checked")
    override = {"findings": ["replication-lag"], "reason": "the site is gone"}
    conf = {"mode": "recovery", "confirm": "checked", "waves": ["lagging"], "override": override}
    runs.start("checked-2", "checked", user="carol", **conf)
    yield runs.ended("checked-2")


def cancelled(runs: Runs) -> Flow:
    """Somebody marks the run as failed while its first wave is in its job."""
    runs.start("cancelled")
    yield lambda: runs.launches("cancelled")
    yield lambda: runs.tasks("cancelled")["first.wait_for_launch"] == "deferred"
    runs.mark_failed("cancelled")
    yield lambda: runs.tasks("cancelled")["report"] in ("failed", "success", "skipped", "upstream_failed")


def marked(runs: Runs) -> Flow:
    """Somebody marks the wait of one wave as failed and that of the other as a success, in the middle of their jobs."""
    runs.start("marked")
    waits = ("failed.wait_for_launch", "succeeded.wait_for_launch")
    # Both at once: the looks at the other flows in between may outlast a job.
    yield lambda: [runs.tasks("marked")[task] for task in waits] == ["deferred", "deferred"]
    for task, state in zip(waits, ("failed", "success"), strict=True):
        runs.mark("marked", task, state)
    yield runs.ended("marked")


def healthy(runs: Runs) -> Flow:
    """A drill with every kind of health check, one of which fails, that keeps its instances a while."""
    runs.start("healthy")
    yield runs.ended("healthy")


def stuck(runs: Runs) -> Flow:
    """A drill whose instance cannot be terminated until somebody gives the role the right to do it."""
    runs.start("stuck")
    yield lambda: runs.instances("stuck")
    (instance,) = runs.instances("stuck")
    fault = {"operation": "TerminateRecoveryInstances", "contains": instance["recoveryInstanceID"]}
    answer = runs.stack.simulator.control("POST", "/faults", {**fault, "error": "AccessDeniedException"})
    yield runs.ended("stuck")
    runs.seen["stuck"] = (instance["ec2InstanceID"], runs.report("stuck"), runs.log("stuck", "terminate"))
    runs.stack.simulator.control("DELETE", f"/faults?id={answer['id']}")
    body = {
        "dry_run": False,
        "dag_run_id": runs.ids["stuck"],
        "only_failed": False,
        "task_ids": ["terminate", "report"],
    }
    runs.stack.api.call("POST", "/dags/stuck/clearTaskInstances", json=body)
    yield runs.ended("stuck")


def urgent(runs: Runs) -> Flow:
    """A recovery is needed while a drill runs: somebody marks the drill as failed."""
    runs.start("urgent")
    yield lambda: runs.tasks("urgent")["only.wait_for_launch"] == "deferred"
    runs.start("urgent-2", "urgent", mode="recovery", confirm="urgent")
    runs.mark_failed("urgent")
    yield runs.ended("urgent-2")


def hurried(runs: Runs) -> Flow:
    """A recovery is needed while a drill keeps its instances for hours: nobody waits until they have ended."""
    runs.start("hurried")
    yield lambda: runs.tasks("hurried")["terminate"] == "deferred"
    runs.start("hurried-2", "hurried", mode="recovery", confirm="hurried")
    runs.seen["hurried"] = runs.state("hurried-2")
    runs.mark_failed("hurried")
    runs.mark("hurried", "terminate", "success")
    yield runs.ended("hurried-2")


def bypassed(runs: Runs) -> Flow:
    """carol, who is no approver, starts a recovery and marks every gate that stands in her way as a success."""
    runs.start("bypassed", user="carol", mode="recovery", confirm="bypassed")
    yield runs.waits("bypassed", "confirm")
    for gate, then in (("confirm", "preflight"), ("preflight", "only.approve"), ("only.approve", "only.launch")):
        runs.mark("bypassed", gate, "success")
        if gate != "confirm":
            runs.clear("bypassed", then)
        yield lambda then=then: runs.tasks("bypassed")[then] in FINISHED_STATES  # type: ignore[misc]
    yield runs.ended("bypassed")


def over(runs: Runs) -> Flow:
    """A recovery succeeds; later somebody clears a check, which fails by then, and after that the launch."""
    runs.start("over", mode="recovery", confirm="over")
    yield runs.ended("over")
    runs.seen["over"] = runs.state("over")
    (instance,) = runs.instances("over")
    fault = {"operation": "SendCommand", "contains": instance["ec2InstanceID"], "error": "AccessDeniedException"}
    runs.stack.simulator.control("POST", "/faults", fault)
    runs.clear("over", "only.health.tcp")
    yield runs.ended("over")
    runs.seen["over checked"] = runs.tasks("over")
    runs.clear("over", "only.launch")
    yield runs.ended("over")


ALL = (
    bypassed,
    over,
    guarded,
    second,
    pair,
    glass,
    throttled,
    denied,
    gated,
    checked,
    cancelled,
    marked,
    healthy,
    stuck,
    urgent,
    hurried,
)
