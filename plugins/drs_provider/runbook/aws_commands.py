"""The commands of the AWS CLI that do by hand what a step of a plan does.

They are for bash and for ``aws`` of version 1 or 2. Shell variables carry ids from one command to the next:
``$job_database`` is the job of the wave ``database``, ``$instances_database`` what it launched.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence

from drs_provider.plan.health import HealthCheck, HttpCheck, TcpCheck
from drs_provider.plan.waves import Script, Targets

__all__ = ["PLACEHOLDER", "check_commands", "launch_commands", "script_commands", "variable", "wait_commands"]

PLACEHOLDER = "LOOK_UP_THE_VALUE"
"""Stands for a value that Airflow would have looked up in one of its connections."""

_IN_COMMAND = "Status=='Pending'||Status=='InProgress'||Status=='Delayed'"
_IN_AUTOMATION = "Pending|InProgress|Waiting"
_CONNECTION = re.compile(r"^\{\{\s*connection:.*\}\}$")


def variable(kind: str, *names: str) -> str:
    """Return the name of a shell variable: ``job_app_servers_2`` for a wave ``app-servers``."""
    return re.sub(r"\W", "_", "_".join([kind, *names]))


def launch_commands(wave: str, server_ids: Sequence[str], size: int) -> list[str]:
    """Return the commands that launch a wave, one a job.

    :param server_ids: source server ids.
    :param size: how many servers a job takes.
    """
    return [
        f"{job}=$(aws drs start-recovery --no-is-drill --source-servers "
        f"{' '.join(f'sourceServerID={one}' for one in some)} --query job.jobID --output text) && echo ${job}"
        for job, some in _jobs(wave, server_ids, size)
    ]


def wait_commands(wave: str, server_ids: Sequence[str], size: int) -> list[str]:
    """Return the commands that wait for a wave's jobs, show how each server ended, and note the instances."""
    commands = []
    for job, _ in _jobs(wave, server_ids, size):
        job_of = f"aws drs describe-jobs --filters jobIDs=${job} --query"
        commands += [
            f"until [ \"$({job_of} 'items[0].status' --output text)\" = COMPLETED ]; do sleep 20; done",
            f"{job_of} 'items[0].participatingServers[].[sourceServerID,launchStatus]' --output table",
        ]
    filters = ",".join(server_ids)
    return [
        *commands,
        f"{variable('instances', wave)}=$(aws drs describe-recovery-instances --filters sourceServerIDs={filters} "
        f"--query 'items[].ec2InstanceID' --output text) && echo ${variable('instances', wave)}",
    ]


def script_commands(wave: str, script: Script) -> list[str]:
    """Return the commands that run a script, wait for it, and show how it ended."""
    parameters = {
        name: [_value(each) for each in ([value] if isinstance(value, str) else value)]
        for name, value in script.parameters.items()
    }
    given = f" --parameters {shlex.quote(json.dumps(parameters, ensure_ascii=False))}" if parameters else ""
    if script.automation:
        run = variable("automation", wave, script.name)
        execution = (
            f"aws ssm get-automation-execution --automation-execution-id ${run} "
            "--query AutomationExecution.AutomationExecutionStatus --output text"
        )
        return [
            f"{run}=$(aws ssm start-automation-execution --document-name {shlex.quote(script.automation)}{given} "
            f"--query AutomationExecutionId --output text) && echo ${run}",
            f'while [[ "$({execution})" =~ ^({_IN_AUTOMATION})$ ]]; do sleep 10; done; {execution}',
        ]
    run = variable("command", wave, script.name)
    invocations = f"aws ssm list-command-invocations --command-id ${run} --query"
    return [
        f"{run}=$(aws ssm send-command --document-name {shlex.quote(str(script.run_command))} "
        f"{_targets(wave, script)}{given} --query Command.CommandId --output text) && echo ${run}",
        "sleep 10",
        f'while [ -n "$({invocations} "CommandInvocations[?{_IN_COMMAND}].InstanceId" --output text)" ]; '
        "do sleep 10; done",
        f"{invocations} 'CommandInvocations[].[InstanceId,Status]' --output table",
    ]


def check_commands(wave: str, check: HealthCheck) -> list[str]:
    """Return the commands that show whether a health check holds; a person reads what they print."""
    instances = f"${variable('instances', wave)}"
    if check.type == "instance_status":
        return [f"aws ec2 wait instance-status-ok --instance-ids {instances} && echo passed"]
    if check.type == "ssm_online":
        listed = f"$(echo {instances} | tr ' ' ,)"
        return [
            f'aws ssm describe-instance-information --filters "Key=InstanceIds,Values={listed}" '
            "--query 'InstanceInformationList[].[InstanceId,PingStatus]' --output table"
        ]
    if check.via == "ssm":
        script = Script.model_validate(
            {"name": check.type, "run_command": "AWS-RunShellScript", "parameters": {"commands": [_inside(check)]}}
        )
        return script_commands(wave, script)
    addresses = "--query 'Reservations[].Instances[].PrivateIpAddress' --output text"
    return [
        f"for address in $(aws ec2 describe-instances --instance-ids {instances} {addresses}); "
        f"do {_ask(check)('$address')}; done"
    ]


def _ask(check: TcpCheck | HttpCheck) -> Callable[[str], str]:
    if isinstance(check, TcpCheck):
        return lambda address: f"nc -z -v -w 5 {address} {check.port}"
    return lambda address: (
        "curl --silent --insecure --max-time 10 --output /dev/null --write-out '%{http_code}\\n' "
        f"{check.scheme}://{address}:{check.effective_port}{shlex.quote(check.path)}"
    )


def _inside(check: TcpCheck | HttpCheck) -> str:
    """Return the command that fails on the instance itself where the check does not hold."""
    ask = _ask(check)("localhost")
    return ask if isinstance(check, TcpCheck) else f'test "$({ask})" = {check.expect}'


def _targets(wave: str, script: Script) -> str:
    if isinstance(script.targets, Targets):
        if script.targets.instance_ids:
            return f"--instance-ids {' '.join(script.targets.instance_ids)}"
        tags = (shlex.quote(f"Key=tag:{key},Values={value}") for key, value in (script.targets.tags or {}).items())
        return f"--targets {' '.join(tags)}"
    return f"--instance-ids ${variable('instances', wave)}"


def _value(text: str) -> str:
    return PLACEHOLDER if _CONNECTION.match(text.strip()) else text


def _jobs(wave: str, server_ids: Sequence[str], size: int) -> Iterator[tuple[str, Sequence[str]]]:
    chunks = [server_ids[start : start + size] for start in range(0, len(server_ids), size)]
    for number, some in enumerate(chunks, start=1):
        yield variable("job", wave, *([str(number)] if len(chunks) > 1 else [])), some
