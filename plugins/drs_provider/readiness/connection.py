"""The findings on the plan's connection: AWS would be asked as somebody else, maybe elsewhere."""

from __future__ import annotations

from drs_provider.readiness.findings import Finding

__all__ = ["missing_connection", "refused_connection"]


def missing_connection(name: str) -> Finding:
    """The finding that Airflow does not have the connection that the plan names.

    :param name: ``target.aws_conn_id``.
    """
    message = f"Airflow has no connection {name}, which the plan names; AWS is asked with the worker's own role."
    remedy = f"Correct target.aws_conn_id, or make it: airflow connections add {name} --conn-type aws"
    return Finding.of("connection-missing", message, remedy)


def refused_connection(reason: str) -> Finding:
    """The finding that a plan may not use the connection that it names.

    :param reason: what :func:`~drs_provider.hooks.connection.connection_refusal` returned.
    """
    remedy = "Correct target.aws_conn_id, or ask the administrator of Airflow to allow the connection."
    return Finding.of("connection-not-allowed", reason, remedy)
