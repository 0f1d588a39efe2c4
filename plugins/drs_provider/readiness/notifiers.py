"""Can the notifiers that a plan names be used at all: better to know now than when somebody should be told."""

from __future__ import annotations

from collections.abc import Iterable

from drs_provider.readiness.findings import Finding

__all__ = ["check_notifiers", "silent_topics"]


def silent_topics(connection: str) -> Finding:
    """The finding that Airflow lacks the connection through which the plan's topics are reached.

    :param connection: the ``aws_conn_id`` of the plan's own target.
    """
    message = f"Airflow has no connection {connection}, through which the plan publishes to its SNS topics."
    return Finding.of("notifier-unusable", message, "Until then nobody is notified through them; the run goes on.")


def check_notifiers(paths: Iterable[str]) -> list[Finding]:
    """Import each notifier: a warning for one that cannot be used. Nobody is told anything.

    :param paths: dotted paths, as ``notify`` has them.
    """
    from drs_provider.notifications.channels import UnusableNotifierError, notifier_class

    findings = []
    for path in paths:
        try:
            notifier_class(path)
        except UnusableNotifierError as error:
            findings.append(
                Finding.of(
                    "notifier-unusable", f"{error}", "Until then nobody is notified through it; the run goes on."
                )
            )
    return findings
