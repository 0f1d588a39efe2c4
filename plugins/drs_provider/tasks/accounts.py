"""Which account a task acts in, asked right before it acts: a connection may have been edited since preflight.

Whatever is launched, sent or terminated in another account than the plan or preflight named would be done to somebody
else, or would find nothing and call that done.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from drs_provider.hooks.drs import DrsHook
from drs_provider.tasks.xcom import pulled

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["ACCOUNTS_KEY", "account_here", "expected_account", "place_key"]

ACCOUNTS_KEY = "accounts"
"""XCom key under which preflight leaves the account of each connection and region that the run acts in."""

_ASKED: dict[str, str] = {}
"""The accounts that STS has named to this process, by connection as it was, and region."""


def place_key(place: NamedTarget) -> str:
    """Return by what a target is kept in XCom: what the plan calls it may change, where it is may not."""
    return f"{place.aws_conn_id} {place.region}"


def expected_account(context: Mapping[str, Any], plan: RecoveryPlan, place: NamedTarget) -> str | None:
    """Return the account that a target has to be in: the plan's word, else what preflight saw; None where neither is.

    :param place: the target.
    """
    seen = pulled(context, "preflight", ACCOUNTS_KEY) or {}
    return plan.account_of(place) or seen.get(place_key(place))


def account_here(place: NamedTarget) -> str:
    """Return the account that a target's connection leads to now (STS, GetCallerIdentity).

    STS is asked once a process, connection and region, and again when the connection was edited.

    :param place: the target.
    :raises botocore.exceptions.ClientError: when STS refuses.
    """
    key = f"{place_key(place)} {_fingerprint(place.aws_conn_id)}"
    if key not in _ASKED:
        hook = DrsHook(aws_conn_id=place.aws_conn_id, region_name=place.region)
        _ASKED[key] = str(hook.client("sts").get_caller_identity()["Account"])
    return _ASKED[key]


def _fingerprint(aws_conn_id: str) -> str:
    """Return a digest of all that decides whose credentials a connection stands for."""
    try:
        connection = AwsBaseHook.get_connection(aws_conn_id)
        parts = (connection.login, connection.password, connection.extra, connection.host)
    except AirflowNotFoundException:
        parts = (None, None, None, None)
    environment = (os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_PROFILE"), os.environ.get("AWS_ROLE_ARN"))
    return hashlib.sha256(repr((*parts, *environment)).encode()).hexdigest()
