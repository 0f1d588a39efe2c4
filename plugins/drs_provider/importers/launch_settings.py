"""The launch settings of a protection group of the DRS orchestration solution, as those of a plan."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from drs_provider.importers.fields import Fields, shown
from drs_provider.plan.launch import LaunchSettings

__all__ = ["launch_settings"]


def launch_settings(fields: Fields) -> dict[str, Any]:
    """Return the launch settings that an object gives, as a plan file has them.

    What a plan does not take, such as an id of another form, is reported as left out.

    :param fields: the object, with keys such as ``subnetId`` and ``launchDisposition``.
    """
    read: list[tuple[str, str, Any]] = [
        ("subnet", "subnetId", fields.text("subnetId")),
        ("security_groups", "securityGroupIds", [text for _, text in fields.texts("securityGroupIds")]),
        ("instance_type", "instanceType", fields.text("instanceType")),
        ("instance_profile", "instanceProfileName", _profile(fields)),
        ("right_sizing", "targetInstanceTypeRightSizingMethod", _lower(fields, "targetInstanceTypeRightSizingMethod")),
        ("recovery_mode", "recoveryMode", _lower(fields, "recoveryMode")),
    ]
    for key, name in (("copy_private_ip", "copyPrivateIp"), ("copy_tags", "copyTags")):
        if fields.has(name):
            read.append((key, name, fields.flag(name)))
    disposition = fields.text("launchDisposition")
    if disposition in ("STARTED", "STOPPED"):
        read.append(("start", "launchDisposition", disposition == "STARTED"))
    elif disposition is not None:
        fields.report.leave_out(fields.path("launchDisposition"), f"{shown(disposition)}: expected STARTED or STOPPED")
    licensing = fields.part("licensing") if fields.has("licensing") else None
    if licensing is not None:
        if licensing.has("osByol"):
            read.append(("byol", "licensing", licensing.flag("osByol")))
        licensing.leave_out_rest()
    fields.leave_out_rest()
    found: dict[str, Any] = {}
    for key, name, value in read:
        if value is None or value == []:
            continue
        try:
            LaunchSettings.model_validate({key: value})
        except ValidationError as error:
            why = error.errors(include_url=False)[0]["msg"]
            fields.report.leave_out(fields.path(name), f"{shown(value)}: a plan does not take it ({why})")
        else:
            found[key] = value
    return found


def _profile(fields: Fields) -> str | None:
    return fields.text("instanceProfileName", "instanceProfileArn", "iamInstanceProfileArn", "iamInstanceProfileName")


def _lower(fields: Fields, key: str) -> str | None:
    text = fields.text(key)
    return text.lower() if text else None
