"""The JSON Schema of plan files, made from the models: an editor completes and checks a plan with it as it is typed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from drs_provider.durations import format_duration
from drs_provider.plan.kinds import discover
from drs_provider.plan.models import RecoveryPlan

__all__ = ["plan_schema", "schema_text"]

_CHOICES = {
    "ServerSelector": ("group", "id", "instance", "name", "hostname", "tags"),
    "ProtectionGroup": ("servers", "tags"),
    "Targets": ("tags", "instance_ids"),
    "Script": ("automation", "run_command"),
    "Notification": ("sns", "notifier"),
}
"""Of these keys a part has exactly one: a rule between keys, which the models do not show to the generator."""


class _Generator(GenerateJsonSchema):
    """Leaves out what only fills an editor's pop-ups: generated titles, and null, which a plan file never has."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        made = super().default_schema(schema)
        # The default of a part is what the defaults of its own keys say, and null is no value of a plan file.
        if not isinstance(made.get("default"), (str, int)):
            made.pop("default", None)
        return made

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def plan_schema() -> dict[str, Any]:
    """The schema, with the keys of every kind of step that is installed.

    :return: JSON Schema, draft 2020-12.
    """
    discover()
    schema = RecoveryPlan.model_json_schema(mode="validation", schema_generator=_Generator)
    _close(schema)
    definitions = schema["$defs"]
    for key, part in schema["properties"].items():
        # Beside a reference to a part with a default, the generator leaves the description out.
        part.setdefault("description", RecoveryPlan.model_fields[key].description)
    for name, keys in _CHOICES.items():
        definitions[name]["oneOf"] = [{"required": [key]} for key in keys]
    settings = definitions["LaunchSettings"]["properties"]
    for key in ("instance_type", "security_groups"):
        # One value is a list of one.
        alone = settings[key].pop("items")
        listed = {"type": settings[key].pop("type"), "items": alone}
        listed |= {bound: settings[key].pop(bound) for bound in ("minItems", "maxItems")}
        settings[key]["anyOf"] = [alone, listed]
    definitions["ServerSelector"]["dependentRequired"] = {"snapshot": ["id"]}
    definitions["Script"]["dependentRequired"] = {"targets": ["run_command"]}
    # Every wave names a target, or the plan has one of its own.
    each_names_one = {"properties": {"waves": {"items": {"required": ["target"]}}}, "required": ["targets"]}
    schema["anyOf"] = [{"required": ["target"]}, each_names_one]
    definitions["Notification"]["dependentRequired"] = {"args": ["notifier"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Recovery plan",
    }


def _close(part: Any) -> None:
    """Pydantic writes a pattern of keys as ``patternProperties``, which lets every other key pass."""
    if isinstance(part, dict):
        for pattern, value in part.pop("patternProperties", {}).items():
            part["propertyNames"] = {"pattern": pattern, **part.get("propertyNames", {})}
            part["additionalProperties"] = value
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _close(each)


def schema_text() -> str:
    """The schema as the text of ``plans/schema.json``."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"
