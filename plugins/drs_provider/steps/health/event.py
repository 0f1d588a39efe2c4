"""What is recorded of a health check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from drs_provider.evidence.events import Event, Fact, Text

__all__ = ["HealthEvent", "HealthResult"]


class HealthEvent(Event):
    """A health check that failed.

    :param name: the task's own name in the wave, such as ``tcp_2``.
    :param check: what was asked, for people: ``tcp 5432``, ``http :8080/healthz → 200``.
    :param reason: which instances failed it, and how.
    """

    kind: Literal["health"] = "health"
    wave: str
    name: str
    check: str
    reason: Text = None


class HealthResult(Fact):
    """What a health check returns when it has passed.

    :param instances: by EC2 instance id what it answered: an address, a platform, ``ok``; where it was asked by a
        script, the last line of what that printed.
    """

    instances: dict[str, Text] = {}

    @model_validator(mode="before")
    @classmethod
    def _by_instance(cls, value: Any) -> Any:
        """Take the answers themselves, or the results of the scripts that asked."""
        if not isinstance(value, Mapping):
            return value
        scripts = value.get("instances")
        answers = scripts if isinstance(scripts, Mapping) else value
        return {"instances": {one: _said(told) for one, told in answers.items()}}


def _said(told: Any) -> Any:
    if not isinstance(told, Mapping):
        return told
    lines = str(told.get("output_tail") or "").strip().splitlines()
    return lines[-1] if lines else None
