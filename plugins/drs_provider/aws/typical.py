"""What live drills took, in seconds: the figures that an estimate and the simulator begin with.

Measured in two live Linux drills of two servers each and one of Windows, from the DRS job log. Seconds after the job's
creation on Linux: JOB_START 0.3, SNAPSHOT_START 0.8, SNAPSHOT_END 1.0, CONVERSION_START 52, CONVERSION_END 227 to 250,
LAUNCH_END 529 to 537, JOB_END 533 to 539. On Windows SNAPSHOT_END to CONVERSION_START took 191, the conversion 839 to
845, the launch 327 to 391, and a whole job 1436. A live job of 25 Windows servers took 1726.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = [
    "AGENT_ONLINE",
    "AT_BEST",
    "AT_WORST",
    "BY_SYSTEM",
    "COMMON",
    "JOB_BEGINS",
    "JOB_ENDS",
    "LAUNCH_BEGINS",
    "SCRIPT",
    "SNAPSHOT_BEGINS",
    "STEP",
    "launch_seconds_of",
    "slowest_of",
]

JOB_BEGINS: Final = 0.3
"""From StartRecovery to JOB_START."""
SNAPSHOT_BEGINS: Final = 0.5
"""From JOB_START to a server's first phase."""
LAUNCH_BEGINS: Final = 0.5
"""From CONVERSION_END to LAUNCH_START."""
JOB_ENDS: Final = 4.0
"""From the last server's LAUNCH_END to JOB_END."""

BY_SYSTEM: Final = {
    "linux": {"preparation": 51.0, "conversion": 187.0, "launch": 293.0},
    "windows": {"preparation": 191.0, "conversion": 842.0, "launch": 359.0},
}
COMMON: Final = {
    "snapshot": 0.2,
    "cleanup": 20.0,
    "terminate": 30.0,
    "boot": 120.0,
}
"""``boot`` is LAUNCH_END to both EC2 status checks; ``preparation``, above, SNAPSHOT_END to CONVERSION_START."""

AT_BEST: Final = 0.9
AT_WORST: Final = 1.5
"""How far live phases may be from these figures: two like drills were within 10 %, larger disks take longer."""

SLOWEST_OF_25: Final = 1.2
"""Servers of one job do not move in step: of 25 Windows servers the last was up 1726 s after the job's creation, a
single one after 1436 s."""

AGENT_ONLINE: Final = {"linux": 30.0, "windows": 90.0}
"""From an instance's start to its SSM agent's first word."""

SCRIPT: Final = 5.0
"""A script of which nothing is known."""

STEP: Final = 1.0
"""A runbook of AWS's own of which nothing is known."""


def slowest_of(servers: int) -> float:
    """Return how many times as long the slowest of like servers of one job takes as one alone.

    The slowest of many grows with the logarithm of their number; two Linux servers of one job ended 64 s of 539 apart.

    :param servers: how many there are, 1 at least.
    """
    return 1 + (SLOWEST_OF_25 - 1) * math.log(max(servers, 1)) / math.log(25)


def launch_seconds_of(system: str) -> float:
    """Return how long the job of one server takes, in seconds.

    :param system: ``linux`` or ``windows``.
    """
    return JOB_BEGINS + SNAPSHOT_BEGINS + COMMON["snapshot"] + sum(BY_SYSTEM[system].values()) + JOB_ENDS
