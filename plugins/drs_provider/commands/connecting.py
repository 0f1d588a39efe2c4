"""How the commands that speak to AWS get their clients: the environment, a profile, or an Airflow connection."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TextIO

import typer

from drs_provider.commands.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drs_provider.aws.clients import Clients
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["WrongAccountError", "airflow_apart", "connect", "connect_targets", "reached_account"]


class WrongAccountError(Exception):
    """Credentials are of another account than the plan states for the target."""


def airflow_apart() -> redirect_stdout[TextIO]:
    """Have Airflow's log on standard error: a command's answer stands on standard output, and may be JSON.

    Airflow's loggers keep for good what was standard output when they were made, at their first line.
    """
    return redirect_stdout(sys.stderr)


def connect(region: str | None, *, profile: str | None = None, aws_conn_id: str | None = None) -> Clients:
    """Clients for a region; ends the command with status 2 and a message where there are no credentials.

    :param region: the region; None means the environment's or the profile's.
    :param profile: a profile of the AWS configuration.
    :param aws_conn_id: an Airflow connection, which then wins over the environment.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.aws.clients import Clients

    try:
        if aws_conn_id is not None:
            with airflow_apart():
                from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

                from drs_provider.hooks.connection import connection_refusal, is_missing

                if is_missing(aws_conn_id):
                    raise _no(f"Airflow here has no connection {aws_conn_id}: set AIRFLOW_CONN_{aws_conn_id.upper()}")
                if refusal := connection_refusal(aws_conn_id):
                    raise _no(refusal)
                hook = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="drs", region_name=region)
                session = hook.get_session(region_name=region)
        else:
            session = boto3.session.Session(profile_name=profile, region_name=region)
        if session.region_name is None:
            raise _no("no region: give --region or set AWS_DEFAULT_REGION")
        if session.get_credentials() is None:
            raise _no("no AWS credentials: set them in the environment, or give --profile or --aws-conn-id")
    except (BotoCoreError, ClientError) as error:
        raise _no(str(error)) from error
    return Clients.from_session(session, session.region_name)


def connect_targets(
    plan: RecoveryPlan, places: Sequence[NamedTarget], *, profile: str | None = None, aws_conn_id: str | None = None
) -> dict[tuple[str, str], Clients]:
    """Clients for targets of a plan, by connection and region; ends the command with status 2 as :func:`connect` does.

    :param places: the targets.
    :param profile: a profile of the AWS configuration, for a plan that uses one connection.
    :param aws_conn_id: an Airflow connection likewise; ``plan`` means those that the plan names.
    """
    connections = list(dict.fromkeys(place.aws_conn_id for place in places))
    if aws_conn_id != "plan" and len(connections) > 1:
        raise _no(f"{plan.name} acts through the connections {', '.join(connections)}: give --aws-conn-id plan")
    return {
        place.key: connect(
            place.region, profile=profile, aws_conn_id=place.aws_conn_id if aws_conn_id == "plan" else aws_conn_id
        )
        for place in places
    }


def reached_account(plan: RecoveryPlan, place: NamedTarget, clients: Clients) -> str | None:
    """Return the account id that the clients of a target lead to (STS, GetCallerIdentity).

    :param place: the target.
    :param clients: its clients.
    :returns: None where nobody needs to know: the plan has one target, and states no account.
    :raises WrongAccountError: the plan states another account.
    :raises botocore.exceptions.ClientError: STS refuses.
    """
    stated = plan.account_of(place)
    if stated is None and not plan.several_targets:
        return None
    found = str(clients.sts.get_caller_identity()["Account"])
    if stated not in (None, found):
        raise WrongAccountError(f"{place}: these credentials are of account {found}; the plan states {stated}")
    return found


def _no(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
