"""Plans whose drills are in the way of a recovery, one for each place where a drill can be; and paused plans."""

from __future__ import annotations

from typing import Any

from tests.e2e.safety_plans import TOPIC

_PLAN = """
version: 1
name: {name}
target: {{region: us-west-2}}
notify: [{{sns: "{topic}"}}]
{more}
waves:
  - {{name: first, servers: [{{tags: {{Tier: {tier}1}}}}]{wave}}}
  - {{name: second, depends_on: [first], servers: [{{tags: {{Tier: {tier}2}}}}]{second}}}
"""

_WEEKLY = """
version: 1
name: weekly
target: {{region: us-west-2}}
notify: [{{sns: "{topic}"}}]
drill: {{schedule: "0 6 * * {day}", timezone: America/New_York}}
waves: [{{name: a, servers: [{{tags: {{Tier: stwee1}}}}]}}]
"""


def _plan(name: str, *, more: str = "", wave: str = "", second: str = "") -> str:
    return _PLAN.format(name=name, tier=_tier(name), topic=TOPIC, more=more, wave=wave, second=second)


def _tier(name: str) -> str:
    """Return the tag of a plan's servers, without the number of the wave: short, since ids are made of it."""
    return f"st{name[:3]}"


def weekly(day: str) -> str:
    """Return a plan that drills on one day of each week."""
    return _WEEKLY.format(topic=TOPIC, day=day)


PLANS = {
    # The drill waits for a job on the wire.
    "onwire": _plan("onwire"),
    # The drill waits for a person.
    "asking": _plan("asking", second=", approval: {message: Go on?, timeout: 2h}"),
    # The drill waits for nothing but the clock.
    "settling": _plan("settling", wave=", settle: 2h"),
    # The drill is through, and keeps its instances.
    "keeping": _plan("keeping", more="drill: {keep_for: 2h}"),
    # Nobody asks the drill to stop.
    "patient": _plan("patient"),
    # A recovery is paused in the middle.
    "paused": _plan("paused"),
}

_LONG = {"durations": {"conversion": 5400}}

SERVERS: dict[str, dict[str, Any]] = {
    **{f"{_tier(name)}{number}": {} for name in PLANS for number in (1, 2)},
    "stonw1": _LONG,
    "stpat1": _LONG,
    "stpau1": _LONG,
    "stwee1": {},
}
