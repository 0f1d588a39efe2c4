"""``drs-plan doctor``: what is wrong with this installation, and what to do about each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, Timeout, impatient, meanwhile

if TYPE_CHECKING:
    from drs_provider.deploy.doctor import Advice

__all__ = ["doctor"]


def doctor(
    offline: Annotated[bool, typer.Option(help="Ask neither AWS nor Airflow's API server.")] = False,
    helm_values: Annotated[
        Path | None,
        typer.Option(
            help="Check these values of the official Airflow chart, and nothing else.", exists=True, dir_okay=False
        ),
    ] = None,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    strict: Annotated[bool, typer.Option(help="Warnings count as errors.")] = False,
    timeout: Timeout = SILENCE,
) -> None:
    """Look at versions, plans, settings, Airflow and AWS; errors come first, what only makes it faster comes last.

    Exit 0: all is well, 1: an error, 2: cannot look.
    """
    if output not in ("text", "json"):
        raise typer.BadParameter("must be text or json", param_hint="--format")
    if helm_values:
        from drs_provider.deploy.doctor.helm_values import check_helm_values

        found = list(check_helm_values(helm_values.read_text(encoding="utf-8")))
    else:
        with meanwhile("looking at this installation" + ("" if offline else ", Airflow and AWS")):
            found = list(_examine(offline=offline, timeout=timeout))
    if output == "json":
        typer.echo(json.dumps([advice.as_dict() for advice in found], indent=2))
    else:
        for advice in sorted(found, key=_urgency):
            say(str(advice))
        counts = {level: sum(advice.level == level for advice in found) for level in ("error", "warning")}
        say(f"\n{counts['error']} errors, {counts['warning']} warnings")
    failing = ("error", "warning") if strict else ("error",)
    raise typer.Exit(1 if any(advice.level in failing for advice in found) else 0)


def _examine(*, offline: bool, timeout: float) -> Iterator[Advice]:
    from airflow.providers.common.compat.sdk import conf

    from drs_provider.dag.folder import plans_folder
    from drs_provider.deploy.doctor.airflow_settings import check_gates, check_settings
    from drs_provider.deploy.doctor.installation import check_installation
    from drs_provider.deploy.doctor.plan_files import check_bundles, check_dag_files, check_plans, local_dags_folders
    from drs_provider.deploy.doctor.reachability import api_address, check_airflow, check_aws
    from drs_provider.plan import read_plans

    def option(section: str, key: str) -> str | None:
        value: Any = conf.get(section, key, fallback=None)
        return None if value is None else str(value)

    yield from check_installation(Path(option("core", "plugins_folder") or ""))
    dags_folder = Path(option("core", "dags_folder") or "")
    bundles = option("dag_processor", "dag_bundle_config_list") or ""
    folders = local_dags_folders(dags_folder, bundles)
    yield from check_bundles(bundles)
    yield from check_dag_files(folders)
    plans = plans_folder(folders[0] if folders else dags_folder)
    yield from check_plans(plans)
    yield from check_settings(option)
    valid = [loaded.plan for loaded in read_plans(plans).plans.values()]
    yield from check_gates(valid, option)
    if offline:
        from drs_provider.deploy.doctor.advice import Advice

        for part in ("airflow", "aws"):
            yield Advice("info", part, "not asked (--offline)")
        return
    url, set_by = api_address(option)
    yield from check_airflow(lambda: _health(url), url, set_by)
    yield from check_aws(valid, _hook, impatient(timeout))


def _urgency(advice: Advice) -> tuple[bool, int]:
    """Return the place of an advice: errors first, tuning last."""
    levels = ("error", "warning", "info", "ok")
    return advice.check == "tuning" and advice.level != "ok", levels.index(advice.level)


def _health(url: str) -> dict[str, Any]:
    import httpx

    return dict(httpx.get(f"{url}/api/v2/monitor/health", timeout=5, follow_redirects=True).raise_for_status().json())


def _hook(connection: str, region: str) -> Any:
    from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException

    from drs_provider.hooks.connection import connection_refusal, is_missing
    from drs_provider.hooks.drs import DrsHook

    if is_missing(connection):
        raise AirflowNotFoundException(f"Airflow has no connection {connection}")
    if refusal := connection_refusal(connection):
        raise AirflowException(refusal)
    return DrsHook(aws_conn_id=connection, region_name=region)
