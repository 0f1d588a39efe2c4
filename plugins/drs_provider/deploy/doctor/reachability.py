"""Whether AWS answers under each plan's connection, and whether Airflow's parts are alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from drs_provider.deploy.doctor.advice import Advice
from drs_provider.deploy.doctor.airflow_settings import GetOption
from drs_provider.plan import RecoveryPlan

if TYPE_CHECKING:
    from botocore.config import Config

__all__ = ["MakeHook", "api_address", "check_airflow", "check_aws"]

MakeHook = Callable[[str, str], Any]
"""Makes a DRS hook for a connection id and a region."""

_REMEDIES = {
    "AccessDeniedException": "give the role the policies of drs_provider/deploy/iam, or of the iam folder of a bundle",
    "AccessDenied": "give the role the policies of drs_provider/deploy/iam, or of the iam folder of a bundle",
    "ExpiredTokenException": "renew the credentials",
    "UnrecognizedClientException": "check the credentials of the connection",
    "InvalidClientTokenId": "check the credentials of the connection",
    "UninitializedAccountException": "initialise AWS Elastic Disaster Recovery in this account and region",
}
# A triggerer is not one of many: waits end there.
_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def check_aws(plans: Iterable[RecoveryPlan], make_hook: MakeHook, config: Config | None = None) -> Iterator[Advice]:
    """Ask STS who we are, and DRS for one source server, once for each connection and region of the plans.

    :param plans: the plans.
    :param make_hook: makes a hook.
    :param config: of the clients, such as how long they wait for an answer.
    """
    targets: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        for place in plan.every_target:
            targets.setdefault(place.key, []).append(plan.name)
    if not targets:
        yield Advice("info", "aws", "not asked: there is no valid plan that names a connection")
    for (connection, region), names in sorted(targets.items()):
        where = f"connection {connection}, {region} ({', '.join(sorted(names))})"
        try:
            session = make_hook(connection, region).get_session(region_name=region)
            identity = session.client("sts", config=config).get_caller_identity()
            session.client("drs", config=config).describe_source_servers(maxResults=1, filters={})
        except Exception as error:
            # Whatever is wrong with a connection, the others are still to be looked at.
            yield Advice("error", "aws", f"{where}: {_reason(error)}", _remedy(error, connection, region))
        else:
            yield Advice("ok", "aws", f"{where}: DRS answers {identity['Arn']}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"


def _remedy(error: Exception, connection: str, region: str) -> str:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    if code in _REMEDIES:
        return _REMEDIES[code]
    name = type(error).__name__
    if name == "AirflowNotFoundException":
        return f"make the connection: airflow connections add {connection} --conn-type aws"
    if "Credentials" in name:
        return f"give the connection {connection} credentials or a role_arn, or the machine a role"
    if name in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"):
        return f"open the way from here to drs.{region}.amazonaws.com and sts.{region}.amazonaws.com"
    return "the message is AWS's own"


def api_address(option: GetOption) -> tuple[str, str]:
    """Return the address of Airflow's API server as tasks reach it, and the option that says so.

    Where only people's browsers have an address for it, theirs is taken.

    :param option: reads one option.
    """
    for_tasks = (option("core", "execution_api_server_url") or "").rstrip("/")
    if for_tasks:
        return for_tasks.removesuffix("/execution"), "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
    return (option("api", "base_url") or "http://localhost:8080").rstrip("/"), "AIRFLOW__API__BASE_URL"


def check_airflow(health: Callable[[], dict[str, Any]], url: str, option: str) -> Iterator[Advice]:
    """Look at the heartbeats that Airflow's API server reports.

    :param health: returns the answer of ``/api/v2/monitor/health``.
    :param url: the API server's address, for messages.
    :param option: the variable that sets the address.
    """
    try:
        answer = health()
    except Exception as error:
        yield Advice(
            "warning",
            "airflow",
            f"{url} does not answer: {_reason(error)}",
            f"start the API server, or set {option} to its address",
        )
        return
    for part in _PARTS:
        status = (answer.get(part) or {}).get("status")
        if status == "healthy":
            yield Advice("ok", "airflow", f"{part} is healthy")
        else:
            remedy = f"start it: airflow {part.replace('_', '-')}" if part != "metadatabase" else "start the database"
            yield Advice("error", "airflow", f"{part} is {status or 'not running'}", remedy)
