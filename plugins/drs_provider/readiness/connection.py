"""The finding that Airflow lacks the plan's connection: AWS is asked as somebody else then, maybe elsewhere."""

from __future__ import annotations

from drs_provider.readiness.findings import Finding

__all__ = ["missing_connection"]


def missing_connection(name: str) -> Finding:
    """The finding that Airflow does not have the connection that the plan names.

    :param name: ``target.aws_conn_id``.
    """
    message = f"Airflow has no connection {name}, which the plan names; AWS is asked with the worker's own role."
    remedy = f"Correct target.aws_conn_id, or make it: airflow connections add {name} --conn-type aws"
    return Finding.of("connection-missing", message, remedy)
