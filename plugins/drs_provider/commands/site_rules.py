"""What the Airflow of this machine does not let plans name, as problems of their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drs_provider.plan import LoadedPlan, Problem
    from drs_provider.plan.rules import Finding

__all__ = ["refusals"]


def refusals(loaded: LoadedPlan) -> list[Problem]:
    """Return an error for each notifier and connection of a plan that the settings of this Airflow do not allow.

    :param loaded: a valid plan.
    """
    plan = loaded.plan
    connections = {target.aws_conn_id for target in plan.every_target}
    if connections == {"aws_default"} and not any(channel.notifier for channel in plan.notify):
        # Reading Airflow's configuration costs more than reading a plan.
        return []
    from drs_provider.commands.connecting import airflow_apart
    from drs_provider.plan.warnings import remarks

    with airflow_apart():
        return remarks(loaded.path, _refused, severity="error")


def _refused(plan: Any) -> Iterator[Finding]:
    from drs_provider.allow_lists import CONNECTIONS_SETTING, connection_patterns, is_allowed, notifier_refusal
    from drs_provider.plan.rules import Finding, items, text
    from drs_provider.plan.target_rules import targets_in

    for location, channel in items(plan, "notify"):
        path = text(channel, "notifier")
        if path and (refusal := notifier_refusal(path)):
            yield Finding((*location, "notifier"), refusal)
    patterns = connection_patterns()
    for location, target in targets_in(plan):
        connection = text(target, "aws_conn_id")
        if connection and patterns is not None and not is_allowed(connection, patterns):
            allowed = f"{CONNECTIONS_SETTING}: {', '.join(patterns)}"
            yield Finding((*location, "aws_conn_id"), f"{connection} is not allowed by {allowed}")
