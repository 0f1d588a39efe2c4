"""Whether the plan's Airflow connection is there: without it, AWS is asked as somebody else, maybe in another account.

The amazon provider takes a connection that it does not find for an empty one, and goes on with the worker's own role.
For ``aws_default`` that is what many mean; whoever names another connection means that one.
"""

from __future__ import annotations

from drs_provider.readiness.findings import Finding

__all__ = ["DEFAULT_CONNECTION", "missing_connection"]

DEFAULT_CONNECTION = "aws_default"


def missing_connection(name: str) -> Finding:
    """The finding that Airflow does not have the connection that the plan names.

    :param name: ``target.aws_conn_id``.
    """
    message = f"Airflow has no connection {name}, which the plan names; AWS would be asked with the worker's own role."
    return Finding.of("connection-missing", message, "Make the connection, or correct target.aws_conn_id.")
