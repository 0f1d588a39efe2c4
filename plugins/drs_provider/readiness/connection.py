"""The findings on the connections of a plan: AWS would be asked as somebody else, maybe elsewhere."""

from __future__ import annotations

from drs_provider.readiness.findings import Finding

__all__ = ["missing_connection", "refused_connection"]


def missing_connection(name: str) -> Finding:
    """The finding that Airflow does not have the connection that the plan names.

    :param name: the ``aws_conn_id`` of a target.
    """
    message = f"Airflow has no connection {name}, which the plan names; the worker's own role is not used instead."
    remedy = f"Correct aws_conn_id, or make it: airflow connections add {name} --conn-type aws"
    return Finding.of("connection-missing", message, remedy)


def refused_connection(reason: str) -> Finding:
    """The finding that a plan may not use the connection that it names.

    :param reason: what :func:`~drs_provider.hooks.connection.connection_refusal` returned.
    """
    remedy = "Correct aws_conn_id, or ask the administrator of Airflow to allow the connection."
    return Finding.of("connection-not-allowed", reason, remedy)
