"""Whether a plan may use an AWS connection: the amazon provider's hooks neither miss one nor mind its type."""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from drs_provider.allow_lists import CONNECTIONS_SETTING, connection_patterns, is_allowed

__all__ = ["connection_refusal", "is_missing"]


def is_missing(aws_conn_id: str) -> bool:
    """Whether Airflow has no connection of this id.

    A hook of the amazon provider then goes on with the credentials of the machine, and only logs that. Where a
    connection was meant that reaches another account, whatever follows would be done in the wrong one. The provider's
    default connection is the exception: it need not be there, and stands for the credentials of the machine.

    :param aws_conn_id: the id of the connection.
    """
    if aws_conn_id == AwsBaseHook.default_conn_name:
        return False
    try:
        AwsBaseHook.get_connection(aws_conn_id)
    except AirflowNotFoundException:
        return True
    return False


def connection_refusal(aws_conn_id: str) -> str | None:
    """Return why a plan may not use a connection; None where it may, or where Airflow has no such connection.

    ``[drs_provider] connections`` lists the connections that plans may name. Where it is unset, any connection of type
    ``aws`` will do, and no other: the login and password of a connection to something else are not AWS credentials.

    :param aws_conn_id: the id of the connection.
    :returns: one sentence that names the setting or the type.
    """
    patterns = connection_patterns()
    if patterns is not None:
        if is_allowed(aws_conn_id, patterns):
            return None
        return f"{CONNECTIONS_SETTING} does not allow plans the connection {aws_conn_id}."
    try:
        kind = AwsBaseHook.get_connection(aws_conn_id).conn_type
    except AirflowNotFoundException:
        return None
    return (
        None if kind in ("aws", "", None) else f"The connection {aws_conn_id} is of type {kind}; plans need type aws."
    )
