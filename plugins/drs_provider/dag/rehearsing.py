"""What is different on the private Airflow of a rehearsal: its runs are marked, and its pauses are as short as its AWS.

``drs-plan rehearse`` sets ``[drs_provider] rehearsal_speed`` for the Airflow that it starts. Where that is set, no task
acts on AWS itself, so the setting cannot turn a real run into one that reports a simulation.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from airflow.providers.common.compat.sdk import conf

from drs_provider.plan.durations import format_duration

__all__ = ["deadline_in", "is_aws_itself", "paced", "paced_text", "rehearsal_speed", "simulator_speed"]

_AWS_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")
_CLOCK_PAGE = "/moto-api/drs/clock"
_ASK_SECONDS = 3.0

_AIRFLOWS_OWN = timedelta(minutes=1)
"""What Airflow needs beside AWS, at whatever speed AWS is simulated: a deadline is never shortened below that."""


def rehearsal_speed() -> float | None:
    """Return how many times faster than real time AWS is simulated; None on every Airflow but that of a rehearsal."""
    written = (conf.get("drs_provider", "rehearsal_speed", fallback="") or "").strip()
    if not written:
        return None
    try:
        speed = float(written)
    except ValueError:
        return 1.0
    return speed if math.isfinite(speed) and speed > 0 else 1.0


def paced(pause: timedelta) -> timedelta:
    """Return how long a pause of a plan lasts here: shorter in a rehearsal that is faster than real time."""
    return pause / _pace()


def deadline_in(limit: timedelta) -> timedelta:
    """Return how long a wait for AWS lasts here at the longest.

    In a rehearsal, AWS is fast and Airflow is not: a minute is left for Airflow.
    """
    return min(limit, limit / _pace() + _AIRFLOWS_OWN)


def paced_text(pause: timedelta) -> str:
    """Return a pause in words: ``2m``, or in a rehearsal ``2s (2m in the plan, rehearsed 60 times as fast)``."""
    here = paced(pause)
    if here == pause:
        return format_duration(pause)
    return f"{here.total_seconds():.3g}s ({format_duration(pause)} in the plan, rehearsed {_pace():g} times as fast)"


def is_aws_itself(endpoint: str | None) -> bool:
    """Whether an endpoint is one of AWS's own, and no simulator."""
    return (urlsplit(endpoint or "").hostname or "").endswith(_AWS_SUFFIXES)


def simulator_speed(endpoint: str | None) -> float | None:
    """Ask an endpoint that is none of AWS's whether it is the DRS simulator.

    :param endpoint: the address that the run's calls went to.
    :returns: how many times faster than real time it is; None where it does not say so.
    """
    if not endpoint or is_aws_itself(endpoint) or not endpoint.startswith(("http://", "https://")):
        return None
    try:
        # As the AWS clients of a rehearsal do: never through a proxy.
        opener = build_opener(ProxyHandler({}))
        with opener.open(endpoint.rstrip("/") + _CLOCK_PAGE, timeout=_ASK_SECONDS) as answer:
            told = json.loads(answer.read(10_000))
        speed = told["speed"]
    except (URLError, OSError, ValueError, KeyError, TypeError):
        return None
    return float(speed) if isinstance(speed, (int, float)) and not isinstance(speed, bool) else None


def _pace() -> float:
    if (conf.get("drs_provider", "rehearsal_pauses", fallback="") or "").strip() == "real":
        return 1.0
    # A rehearsal that is slower than real time keeps the plan's pauses.
    return max(rehearsal_speed() or 1.0, 1.0)
