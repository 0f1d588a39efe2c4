"""What live drills took, in seconds: the figures that an estimate and the simulator begin with.

Measured in two live Linux drills of two servers each and one of Windows, from the DRS job log. Seconds after the job's
creation on Linux: JOB_START 0.3, SNAPSHOT_START 0.8, SNAPSHOT_END 1.0, CONVERSION_START 52, CONVERSION_END 227 to 250,
LAUNCH_END 529 to 537, JOB_END 533 to 539. On Windows SNAPSHOT_END to CONVERSION_START took 191, the conversion 839 to
845, the launch 327 to 391, and a whole job 1436.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_ONLINE",
    "BY_SYSTEM",
    "COMMON",
    "JOB_BEGINS",
    "JOB_ENDS",
    "LAUNCH_BEGINS",
    "SCRIPT",
    "SNAPSHOT_BEGINS",
    "STEP",
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

AGENT_ONLINE: Final = {"linux": 30.0, "windows": 90.0}
"""From an instance's start to its SSM agent's first word."""

SCRIPT: Final = 5.0
"""A script of which nothing is known."""

STEP: Final = 1.0
"""A runbook of AWS's own of which nothing is known."""
