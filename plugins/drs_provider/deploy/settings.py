"""The Airflow settings that the project ships, each with its reason: one list for every way of deployment."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RECOMMENDED_SETTINGS", "Setting", "as_environment"]


class Setting(NamedTuple):
    """One Airflow option: where it stands, the value, and why."""

    section: str
    key: str
    value: str
    reason: str

    @property
    def variable(self) -> str:
        """The environment variable that sets the option."""
        return f"AIRFLOW__{self.section.upper()}__{self.key.upper()}"


RECOMMENDED_SETTINGS = (
    Setting(
        "scheduler",
        "scheduler_idle_sleep_time",
        "0.1",
        "An idle scheduler looks for work ten times a second instead of once: about a second less between two tasks, "
        "for 10 % of a core.",
    ),
    Setting(
        "scheduler",
        "task_instance_heartbeat_timeout",
        "60",
        "A task whose worker died is noticed after a minute instead of five. Launches are adopted, never repeated, so "
        "an early second try is safe.",
    ),
    Setting(
        "scheduler",
        "orphaned_tasks_check_interval",
        "30",
        "Tasks of a dead scheduler are taken over after half a minute instead of five.",
    ),
    Setting(
        "scheduler",
        "task_queued_timeout",
        "180",
        "A task that a worker took and lost before it began is queued again after three minutes instead of ten. Where "
        "workers have to be started first, that may take longer: it is queued three times in each of its tries. "
        "MWAA keeps half an hour.",
    ),
    Setting(
        "scheduler",
        "task_queued_timeout_check_interval",
        "30",
        "The scheduler looks for such tasks every half minute instead of every two minutes.",
    ),
    Setting(
        "workers",
        "execution_api_retries",
        "12",
        "Tasks wait up to a minute for the API server, which takes that long to start again, instead of ten seconds.",
    ),
    Setting(
        "workers",
        "execution_api_retry_wait_max",
        "10",
        "While it is away they ask again every ten seconds at least: a wave does not sleep on when it is back.",
    ),
    Setting(
        "workers",
        "missing_dag_retries",
        "40",
        "A plan file that is gone or broken for ten minutes, while it is deployed or mended, fails no task of its run.",
    ),
    Setting(
        "workers",
        "missing_dag_retry_delay",
        "15",
        "The tasks look for it every fifteen seconds instead of every minute.",
    ),
    Setting(
        "scheduler",
        "max_tis_per_query",
        "0",
        "All waves that may start are queued in one round of the scheduler instead of 16 tasks a round.",
    ),
    Setting(
        "core",
        "max_templated_field_length",
        "65536",
        "The plan's resolved servers stay readable in the task's rendered fields.",
    ),
)


def as_environment() -> dict[str, str]:
    """Return the recommended settings as environment variables."""
    return {setting.variable: setting.value for setting in RECOMMENDED_SETTINGS}
