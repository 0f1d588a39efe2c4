"""A careful orchestrator in plain boto3, which knows nothing of this package, and ten careless ones.

The careful one does what the facts about DRS ask for. Each careless one differs from it in one habit that looks
harmless as long as nothing goes wrong. The log of the simulator has to tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

__all__ = ["CARELESS", "Orchestrator", "Stopped"]

_ONCE = Config(retries={"total_max_attempts": 1})
#: Seconds of AWS: between two looks, until a job must have ended, and the longest lag of a list that is survived.
_LOOK, _PATIENCE, _LAG = 10.0, 3600.0, 1200.0


class Stopped(Exception):
    """The orchestrator gives up, with the reason; what it launched stays as it is."""


class Orchestrator:
    """Recovers the waves of a plan one after another, and terminates a drill's instances at the end.

    :param plan: ``waves`` with ``name``; servers are found by their tag ``Wave``.
    :param wait: lets so many seconds of AWS pass.
    :param between: called with the name of each wave once its servers are up, before its script.
    """

    def __init__(
        self,
        plan: Mapping[str, Any],
        wait: Callable[[float], None],
        *,
        drill: bool = True,
        region: str = "us-west-2",
        origin: str = "us-east-1",
        between: Callable[[str], None] = lambda wave: None,
    ) -> None:
        self.plan, self.wait, self.drill, self.between = plan, wait, drill, between
        self.drs, self.ec2, self.ssm = (boto3.client(name, region, config=_ONCE) for name in ("drs", "ec2", "ssm"))
        self.origin = boto3.client("drs", origin, config=_ONCE)
        self.instances: dict[str, str] = {}

    def run(self) -> None:
        """Run the plan; raise `Stopped` where it cannot go on."""
        for wave in self.plan["waves"]:
            servers = self.servers(wave["name"])
            self.launch(wave["name"], servers)
            self.between(wave["name"])
            self.script([self.instances[one] for one in servers if one in self.instances])
        if self.drill:
            self.terminate()

    # Finding

    def servers(self, wave: str) -> list[str]:
        pages = self.drs.get_paginator("describe_source_servers").paginate(filters={})
        return [one["sourceServerID"] for page in pages for one in page["items"] if one["tags"].get("Wave") == wave]

    def jobs(self) -> list[dict[str, Any]]:
        return [job for page in self.drs.get_paginator("describe_jobs").paginate() for job in page["items"]]

    def is_ours(self, job: Mapping[str, Any], wave: str, servers: list[str]) -> bool:
        return job["tags"].get("run") == f"{self.drill}/{wave}"

    def find(self, wave: str, servers: list[str]) -> dict[str, Any] | None:
        return next((job for job in self.jobs() if self.is_ours(job, wave, servers)), None)

    # Launching

    def launch(self, wave: str, servers: list[str]) -> None:
        job = self.wait_for(self.start(wave, servers))
        self.judge(job)
        for page in self.drs.get_paginator("describe_recovery_instances").paginate(
            filters={"sourceServerIDs": servers}
        ):
            for one in page["items"]:
                if one["jobID"] == job["jobID"]:
                    self.instances[one["sourceServerID"]] = one["ec2InstanceID"]

    def start(self, wave: str, servers: list[str]) -> str:
        waited = 0.0
        while waited < 2 * _PATIENCE:
            job = self.find(wave, servers)
            if job is not None:
                return str(job["jobID"])
            try:
                return self.start_recovery(wave, servers)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ConflictException":
                    self.wait(_LOOK)  # Our own job perhaps, which is not listed yet, or somebody's who will be done.
                    waited += _LOOK
                elif code == "InternalServerException":
                    waited += self.after_unclear(wave, servers)
                else:
                    raise
        raise Stopped(f"{wave} could not be started")

    def after_unclear(self, wave: str, servers: list[str]) -> float:
        """Wait until a job that was perhaps accepted must be listed."""
        waited = 0.0
        while waited < _LAG and self.find(wave, servers) is None:
            self.wait(_LOOK)
            waited += _LOOK
        return waited

    def start_recovery(self, wave: str, servers: list[str]) -> str:
        answer = self.drs.start_recovery(
            isDrill=self.drill,
            sourceServers=[{"sourceServerID": one} for one in servers],
            tags={"run": f"{self.drill}/{wave}"},
        )
        return str(answer["job"]["jobID"])

    def wait_for(self, job_id: str) -> dict[str, Any]:
        waited = 0.0
        while waited < _PATIENCE:
            found = self.drs.describe_jobs(filters={"jobIDs": [job_id]})["items"]
            if found and found[0]["status"] == "COMPLETED":
                return dict(found[0])
            self.wait(_LOOK)
            waited += _LOOK
        raise Stopped(f"{job_id} does not end")

    def judge(self, job: Mapping[str, Any]) -> None:
        failed = [one for one in job["participatingServers"] if one["launchStatus"] != "LAUNCHED"]
        if failed:
            raise Stopped(f"not launched: {failed}")

    # Scripts

    def script(self, instances: list[str]) -> None:
        waited = 0.0
        while not self.ready(instances):
            self.wait(_LOOK)
            waited += _LOOK
            if waited > _PATIENCE:
                raise Stopped(f"not running: {instances}")
        sent = self.ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=instances, Parameters={"commands": ["sleep 20"]}
        )["Command"]["CommandId"]
        self.wait(30.0)
        found = self.ssm.list_commands(CommandId=sent)["Commands"][0]
        if found["Status"] != "Success":
            raise Stopped(f"the script ended in {found['Status']}")

    def ready(self, instances: list[str]) -> bool:
        shown = self.ec2.describe_instances(InstanceIds=instances)["Reservations"]
        states = [one["State"]["Name"] for each in shown for one in each["Instances"]]
        known = self.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": instances}])
        online = [one for one in known["InstanceInformationList"] if one["PingStatus"] == "Online"]
        return states == ["running"] * len(instances) and len(online) == len(instances)

    # The end of a drill, and of a failback that is given up

    def terminate(self) -> None:
        ours = [one for one in self.to_terminate() if one]
        if ours:
            self.wait_for(self.drs.terminate_recovery_instances(recoveryInstanceIDs=ours)["job"]["jobID"])

    def to_terminate(self) -> list[str]:
        return sorted(self.instances.values())

    def reverse(self) -> str:
        """Let the recovered servers replicate back; return the source server in the origin region."""
        (instance,) = self.instances.values()
        for _ in range(60):
            try:
                self.drs.reverse_replication(recoveryInstanceID=instance)
                break
            except self.drs.exceptions.ConflictException:
                self.wait(_LOOK)  # Its agent has not initialised yet.
        for page in self.origin.get_paginator("describe_source_servers").paginate(filters={}):
            for one in page["items"]:
                hints = one["sourceProperties"]["identificationHints"]
                if one["replicationDirection"] == "FAILBACK" and hints.get("awsInstanceID") == instance:
                    return str(one["sourceServerID"])
        raise Stopped("nothing replicates back")

    def give_up_failback(self, backward: str, forward: str) -> None:
        """Take away what replicates backward; what protects production goes on."""
        self.origin.stop_replication(sourceServerID=backward)
        self.origin.disconnect_source_server(sourceServerID=backward)


# Ten habits that look harmless


class StartsAgainAfterAnError(Orchestrator):
    """A 500 means that nothing happened, and a conflict that one has to wait."""

    def start(self, wave: str, servers: list[str]) -> str:
        for _ in range(200):
            try:
                return self.start_recovery(wave, servers)
            except ClientError:
                self.wait(_LOOK)
        raise Stopped(wave)


class StartsTheNextWaveAtOnce(Orchestrator):
    """An accepted job is as good as done."""

    def launch(self, wave: str, servers: list[str]) -> None:
        self.start(wave, servers)

    def script(self, instances: list[str]) -> None:
        pass


class TrustsTheJob(Orchestrator):
    """COMPLETED is success."""

    def judge(self, job: Mapping[str, Any]) -> None:
        pass

    def script(self, instances: list[str]) -> None:
        if instances:
            super().script(instances)


class TerminatesWhatItFinds(Orchestrator):
    """What DRS lists is a drill's."""

    def to_terminate(self) -> list[str]:
        pages = self.drs.get_paginator("describe_recovery_instances").paginate(filters={})
        return [one["recoveryInstanceID"] for page in pages for one in page["items"]]


class DoesNotLookAtTheInstance(Orchestrator):
    """What was launched a minute ago runs."""

    def script(self, instances: list[str]) -> None:
        self.wait(60.0)
        try:
            self.ssm.send_command(
                DocumentName="AWS-RunShellScript", InstanceIds=instances, Parameters={"commands": ["true"]}
            )
        except ClientError as error:
            raise Stopped("the script could not be sent") from error


class StopsTheForwardReplication(Orchestrator):
    """Whatever replicates is stopped after a failback."""

    def give_up_failback(self, backward: str, forward: str) -> None:
        super().give_up_failback(backward, forward)
        self.drs.stop_replication(sourceServerID=forward)


class DisconnectsTheProtected(Orchestrator):
    """Both servers of a failback are disconnected at its end."""

    def give_up_failback(self, backward: str, forward: str) -> None:
        super().give_up_failback(backward, forward)
        try:
            self.drs.disconnect_source_server(sourceServerID=forward)
        except ClientError as error:
            raise Stopped("it could not be disconnected") from error


class ReadsTheFirstPage(Orchestrator):
    """A list is what comes first."""

    def servers(self, wave: str) -> list[str]:
        items = self.drs.describe_source_servers(filters={})["items"]
        return [one["sourceServerID"] for one in items if one["tags"].get("Wave") == wave]

    def launch(self, wave: str, servers: list[str]) -> None:
        if servers:
            super().launch(wave, servers)

    def script(self, instances: list[str]) -> None:
        if instances:
            super().script(instances)


class TrustsAStaleList(Orchestrator):
    """A job that is not listed does not exist."""

    def start(self, wave: str, servers: list[str]) -> str:
        for _ in range(200):
            job = self.find(wave, servers)
            if job is not None:
                return str(job["jobID"])
            try:
                return self.start_recovery(wave, servers)
            except ClientError:
                self.wait(_LOOK)
        raise Stopped(wave)


class AdoptsAnyJobOfTheServer(Orchestrator):
    """A job that holds the server is ours."""

    def is_ours(self, job: Mapping[str, Any], wave: str, servers: list[str]) -> bool:
        return {one["sourceServerID"] for one in job["participatingServers"]} == set(servers)


CARELESS: dict[str, type[Orchestrator]] = {
    "launches twice": StartsAgainAfterAnError,
    "starts a wave too early": StartsTheNextWaveAtOnce,
    "takes a failed server for a success": TrustsTheJob,
    "terminates production": TerminatesWhatItFinds,
    "runs a script on a dead instance": DoesNotLookAtTheInstance,
    "stops the forward replication": StopsTheForwardReplication,
    "disconnects the protected": DisconnectsTheProtected,
    "reads the first page only": ReadsTheFirstPage,
    "trusts a stale list": TrustsAStaleList,
    "acts on a job of the other mode": AdoptsAnyJobOfTheServer,
}
