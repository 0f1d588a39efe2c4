"""Whether Airflow has the AWS connection that somebody named: the amazon provider's hooks do not mind if it has not."""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException

__all__ = ["is_missing"]


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
