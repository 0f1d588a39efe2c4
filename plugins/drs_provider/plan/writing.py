"""A plan written as a plan file: what importers and tests hand to people."""

from __future__ import annotations

from typing import Any

import yaml

from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.plain import reads_as_text

__all__ = ["MODELINE", "dump_plan"]

MODELINE = "# yaml-language-server: $schema=./schema.json"
"""The first line of a plan file: by it, VS Code's YAML extension completes and checks the file."""


class _Dumper(yaml.SafeDumper):
    """No aliases: a plan file says what it means where it means it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quoted wherever the plan format, stricter than PyYAML, would not read a plain text as that text."""
    style = None if reads_as_text(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump_plan(plan: RecoveryPlan) -> str:
    """Write a plan as a plan file.

    :param plan: a valid plan. Its defaults stand on its waves and scripts, and are written there.
    :return: YAML, with the modeline; :func:`~drs_provider.plan.load_plan` reads it back to an equal plan, apart from
        ``defaults``.
    """
    data: dict[str, Any] = plan.model_dump(mode="json", exclude={"defaults"}, exclude_defaults=True)
    data = {"version": plan.version, **data}
    return f"{MODELINE}\n{yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)}"
