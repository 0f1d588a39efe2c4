"""What is different on the private Airflow of a rehearsal: its runs are marked, and its pauses are as short as its AWS.

``drs-plan rehearse`` sets ``[drs_provider] rehearsal_speed`` for the Airflow that it starts. Where that is set, no task
acts on AWS itself, so the setting cannot turn a real run into one that reports a simulation.
"""

from __future__ import annotations

import json
import math
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from airflow.providers.common.compat.sdk import conf

from drs_provider.pace import Pace

__all__ = ["is_aws_itself", "pace", "rehearsal_speed", "simulator_speed"]

_AWS_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")
_CLOCK_PAGE = "/moto-api/drs/clock"
_ASK_SECONDS = 3.0


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


def pace() -> Pace:
    """Return what becomes of a plan's pauses and deadlines on this Airflow: nothing, but in a rehearsal."""
    real = (conf.get("drs_provider", "rehearsal_pauses", fallback="") or "").strip() == "real"
    return Pace.of_rehearsal(rehearsal_speed() or 1.0, real_pauses=real)


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
