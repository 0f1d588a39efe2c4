"""Who marked or cleared what of a run: Airflow's audit log, which only its API server can read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drs_provider.airflow_compat import audit_log
from drs_provider.evidence.reading import mapping, moment, text

__all__ = ["Change", "changes_of"]

MOST_CHANGES = 100

_EVENTS = {
    "patch_dag_run": "marked the run as {state}",
    "clear_dag_run": "cleared the run",
    "post_clear_task_instances": "cleared {tasks}",
    "patch_task_instance": "marked {tasks} as {state}",
    "patch_task_group_instances": "marked {tasks} as {state}",
    "delete_dag_run": "deleted the run",
    "delete_task_instance": "deleted {tasks}",
    "trigger_dag_run": "started the run",
    "bulk_dag_runs": "changed several runs",
    "bulk_task_instances": "changed several tasks",
    "update_hitl_detail": "answered {tasks}",
}
"""What a row of the log means, by its event; others are of no interest to a report."""


@dataclass(frozen=True)
class Change:
    """What a person did to a run in Airflow.

    :param who: the user's name, as the log has it.
    :param when: the moment, in UTC.
    :param what: in words, such as ``marked the run as failed``.
    """

    who: str
    when: datetime | None
    what: str

    @property
    def ends_the_run(self) -> bool:
        """Whether it ended the run before its time."""
        return self.what.startswith(_EVENTS["patch_dag_run"].format(state="failed"))


def changes_of(dag_id: str, run_id: str) -> list[Change]:
    """Return what people did to a run, oldest first, the last hundred.

    Whoever calls this has checked that the reader may see the audit log of the DAG.

    :param dag_id: the DAG, which is the plan's name.
    :param run_id: Airflow's run id.
    """
    return [_change(row) for row in audit_log(dag_id, run_id, _EVENTS, MOST_CHANGES)]


def _change(row: Any) -> Change:
    try:
        extra = mapping(json.loads(row.extra or "{}"))
    except (TypeError, ValueError):
        extra = {}
    named = extra.get("task_ids")
    tasks = ", ".join(str(one) for one in named) if isinstance(named, list) and named else text(row.task_id)
    state = text(extra.get("state")) or text(extra.get("new_state"))
    if row.event == "patch_dag_run" and state is None:
        what = "wrote the note of the run"
    else:
        what = _EVENTS[row.event].format(state=state or "another state", tasks=tasks or "tasks")
    if note := text(extra.get("note")):
        # Airflow hands a run's note to no task: the report cannot hold it.
        what += f", with the note: {note}"
    return Change(text(row.owner_display_name) or text(row.owner) or "an unknown user", moment(row.dttm), what)
