"""What the administrator of an Airflow lets plan files name: notifiers and connections.

Whoever writes plan files need not be whoever runs Airflow. Both settings are the administrator's: no plan changes them.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

__all__ = ["CONNECTIONS_SETTING", "NOTIFIERS_SETTING", "connection_patterns", "is_allowed", "notifier_refusal"]

NOTIFIERS_SETTING = "[drs_provider] notifiers"
CONNECTIONS_SETTING = "[drs_provider] connections"

_SEPARATORS = re.compile(r"[\s,]+")


def is_allowed(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a name matches one of the patterns: ``*`` stands for any text, case counts."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def connection_patterns() -> tuple[str, ...] | None:
    """Return the patterns of ``[drs_provider] connections``; None where it is unset: any connection of type ``aws``."""
    return _patterns("connections") or None


def notifier_refusal(path: str) -> str | None:
    """Return why a plan may not use a notifier; None where it may.

    :param path: the notifier's dotted path.
    :returns: one sentence that names the setting.
    """
    if is_allowed(path, _patterns("notifiers")):
        return None
    return (
        f"{path} is not allowed by {NOTIFIERS_SETTING}; the channel is skipped. "
        "Ask the administrator of Airflow to add it, or notify an SNS topic"
    )


def _patterns(option: str) -> tuple[str, ...]:
    from airflow.providers.common.compat.sdk import conf

    return tuple(filter(None, _SEPARATORS.split(conf.get("drs_provider", option, fallback="") or "")))
