"""Whether EC2 instances are gone: what counts at the end of a drill is EC2's word, not that of the DRS job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from drs_provider.aws.calls import Calls
from drs_provider.aws.ec2.instances import describe_instances

__all__ = ["instance_states", "not_gone", "not_stopped"]


async def instance_states(calls: Calls, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return the state of each EC2 instance that still exists, by id."""
    return {one: instance.state for one, instance in (await describe_instances(calls, instance_ids)).items()}


def not_gone(instance_ids: Iterable[str], states: Mapping[str, str]) -> list[str]:
    """Return ``<id> is <state>`` for each instance that is not terminated; one that EC2 does not know is gone."""
    return [f"{one} is {states[one]}" for one in instance_ids if states.get(one, "terminated") != "terminated"]


def not_stopped(instance_ids: Iterable[str], states: Mapping[str, str]) -> list[str]:
    """Return ``<id> is <state>`` for each instance that neither is stopped nor gone."""
    return [
        f"{one} is {states[one]}"
        for one in instance_ids
        if states.get(one, "terminated") not in ("stopped", "terminated")
    ]
