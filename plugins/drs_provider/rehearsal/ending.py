"""What a person reads at the end of a rehearsal that failed: each cause once, the first failure first, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH

if TYPE_CHECKING:
    from drs_provider.evidence.record import RunRecord

__all__ = ["FailedTask", "causes_of", "failed_tasks", "lines_for_people"]

# Airflow folds parts of a log in its UI, and prints the traceback of what a task raised on purpose.
_NOT_FOR_PEOPLE = re.compile(
    r"^::(end)?group::|^(Log message source|DAG bundles loaded|Filling up the DagBag|Task instance|Pushing xcom|"
    r"Task failed|Task finished|Marking task|Immediate failure requested|Found (credentials|endpoint)|"
    r"AWS Connection \(conn_id|Traceback |\s+File \")"
)
_RAISED = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?(?P<type>[A-Z]\w*(?:Error|Exception|Failed)): (?P<message>.*)", re.S)


@dataclass(frozen=True)
class FailedTask:
    """A task that failed.

    :param task_id: the task.
    :param log: the lines at the end of its log that are for people.
    """

    task_id: str
    log: tuple[str, ...]


def failed_tasks(instances: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the task instances that failed by themselves, the first failure first.

    The task ``report`` fails with its run: it is left out where another failed.

    :param instances: task instances as Airflow's REST API returns them.
    """
    failed = [instance for instance in instances if instance["state"] == "failed"]
    own = [instance for instance in failed if instance["task_id"] != "report"] or failed
    return sorted(own, key=lambda instance: (str(instance.get("end_date") or "~"), str(instance.get("start_date"))))


def lines_for_people(log: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the last lines of a task's log that say what happened, each once.

    :param log: the lines of the log.
    :param most: how many lines there may be.
    """
    found: dict[str, None] = {}
    for entry in log:
        for line in entry.rstrip().splitlines():
            raised = _RAISED.match(line)
            text = raised["message"] if raised else line
            if text.strip() and not _NOT_FOR_PEOPLE.match(text):
                found.pop(text, None)
                found[text] = None
    return tuple(found)[-most:]


def causes_of(record: RunRecord | None, failed: Sequence[FailedTask]) -> list[tuple[str, list[str]]]:
    """Return what failed, as a heading and its lines: each cause once, with the host names that the report knows.

    :param record: the report of the run, if there is one.
    :param failed: its failed tasks, the first failure first.
    """
    found: list[tuple[str, list[str]]] = []
    told: set[str] = set()
    for task in failed:
        candidates = (_of_report(record, task.task_id) if record else []), list(task.log)
        new = next((left for lines in candidates if (left := [line for line in lines if line not in told])), [])
        told.update(new)
        found.append((task.task_id, [_with_hosts(line, record) for line in new] or ["for the same cause"]))
    return found


def _of_report(record: RunRecord, task_id: str) -> list[str]:
    """Return what the report says of a failed task; nothing where it says only what the log says."""
    wave_name, _, step = task_id.partition(".")
    if task_id == "preflight":
        return [
            f"{finding.code}: {finding.message} {finding.remedy}".rstrip()
            for finding in record.preflight.findings
            if finding.severity == "error" and not finding.overridden
        ]
    if task_id == "terminate":
        return [f"{each.instance_id} is left: {each.reason}" for each in record.termination.left]
    wave = next((wave for wave in record.waves if wave.name == wave_name), None)
    if wave is None:
        return []
    if step in (LAUNCH, WAIT_FOR_LAUNCH):
        failed = [server for server in wave.servers if server.reason and server.launch_status != "LAUNCHED"]
        return [f"{server.source_server_id}: {server.reason}" for server in failed]
    return []


def _with_hosts(line: str, record: RunRecord | None) -> str:
    """Return a line with the host name before each server's and instance's id that it has without."""
    for server in (server for wave in (record.waves if record else ()) for server in wave.servers):
        for one in filter(None, (server.source_server_id, server.ec2_instance_id)):
            if server.hostname and one in line and server.hostname not in line:
                line = re.sub(rf"\b{re.escape(one)}\b", f"{server.hostname} ({one})", line)
    return line
