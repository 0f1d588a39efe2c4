"""Give a server the launch settings that are wanted: DRS first, then EC2.

DRS writes a version of the template with each UpdateLaunchConfiguration, so what is written into the template before
is lost. Every step looks first at what is there: applied twice, nothing changes; killed between any two calls and
started again, the end is the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.aws.launch_settings.compare import Comparison, drs_request, wanted_data
from drs_provider.aws.launch_settings.state import LaunchState, as_request, default_version, primary_interface, read
from drs_provider.aws.pauses import pause_for

__all__ = ["ChangedError", "NotAppliedError", "apply"]

log = logging.getLogger(__name__)

DESCRIPTION = "drs-plan launch-settings"
"""How the descriptions of versions begin that are written here."""
VISIBLE = 20.0
"""Seconds after which EC2 shows what was written, at the latest: its reads are eventually consistent."""

Data = Mapping[str, Any]


class ChangedError(Exception):
    """Somebody else changed the launch settings since they were compared; nothing more was changed."""


class NotAppliedError(Exception):
    """AWS has other settings than it was asked to have, or refuses them."""


def apply(clients: Clients, comparison: Comparison) -> LaunchState:
    """Apply what differs, and nothing else.

    UpdateLaunchConfiguration first, then CreateLaunchTemplateVersion and ModifyLaunchTemplate.

    :param clients: clients of the account and region.
    :param comparison: what was compared, and shown to whoever said yes.
    :return: the settings as AWS has them afterwards.
    :raises ChangedError: the settings are no longer those that were compared.
    :raises NotAppliedError: there are obstacles, or AWS did not take the settings.
    :raises botocore.exceptions.ClientError: a call failed. Applying again goes on from there.
    """
    if comparison.obstacles:
        raise NotAppliedError("; ".join(comparison.obstacles))
    seen, wanted = comparison.state, comparison.wanted
    state = read(clients, seen.server)
    if (state.template_id, state.data, state.configuration) != (seen.template_id, seen.data, seen.configuration):
        raise ChangedError(_who(state, seen, "since they were compared"))
    if request := drs_request(state, wanted):
        state = _apply_drs(clients, state, wanted, request)
    data = wanted_data(state, wanted)
    if data != state.data:
        state = _apply_ec2(clients, state, data)
    return state


def _who(now: LaunchState, before: LaunchState, since: str) -> str:
    if now.configuration != before.configuration:
        return f"the DRS launch configuration was changed {since}"
    return (
        f"the default version of {now.template_id} was changed {since}: it is version {now.version}, "
        f"and was version {before.version}"
    )


def _apply_drs(
    clients: Clients, before: LaunchState, wanted: Mapping[str, Any], request: Mapping[str, Any]
) -> LaunchState:
    known = clients.drs.meta.service_model.operation_model("UpdateLaunchConfiguration").input_shape.members
    if unknown := [name for name in request if name not in known]:
        raise NotAppliedError(
            f"this botocore does not know {', '.join(unknown)} of UpdateLaunchConfiguration: update it"
        )
    _cover_draft(clients, before)
    clients.drs.update_launch_configuration(sourceServerID=before.server, **request)
    state = read(clients, before.server)
    if still := drs_request(state, wanted):
        raise NotAppliedError(f"DRS has other values of {', '.join(sorted(still))} than it was asked to have")
    if not _written_by_drs(before.data, state.data):
        raise ChangedError(
            _who(
                LaunchState(before.server, before.configuration, before.template_id, state.version, state.data),
                before,
                "while DRS was changed",
            )
        )
    return state


def _cover_draft(clients: Clients, state: LaunchState) -> None:
    """Let the latest version say what the default one says.

    From which of the two DRS makes its own version is not known, and what it makes becomes the default: a draft that
    lies there must not.
    """
    number, latest = default_version(clients, state.template_id, "$Latest")
    if number != state.version and latest != state.data:
        scalar = next((key for key in ("ImageId", "InstanceType", "EbsOptimized") if key in state.data), None)
        unchanged = {scalar: state.data[scalar]} if scalar else {}
        _create(clients, state, unchanged, state.data)


def _written_by_drs(before: Data, after: Data) -> bool:
    """Whether nothing differs but what DRS itself writes into a template: the type, and the copied address."""
    return _without_drs(before) == _without_drs(after)


def _without_drs(data: Data) -> dict[str, Any]:
    rest = {key: value for key, value in data.items() if key != "InstanceType"}
    primary = primary_interface(data)
    interfaces = rest.pop("NetworkInterfaces", None) or []
    rest["NetworkInterfaces"] = [
        {key: value for key, value in one.items() if key not in ("PrivateIpAddress", "DeviceIndex")}
        if one is primary
        else one
        for one in interfaces
    ]
    return rest


def _apply_ec2(clients: Clients, state: LaunchState, data: dict[str, Any]) -> LaunchState:
    parts = {key: value for key, value in data.items() if value != state.data.get(key)}
    number = _prepared(clients, state, data)
    if number is None:
        number = _create(clients, state, parts, data)
    again = read(clients, state.server)
    if (again.data, again.configuration) != (state.data, state.configuration):
        raise ChangedError(_who(again, state, "while it was applied"))
    clients.ec2.modify_launch_template(LaunchTemplateId=state.template_id, DefaultVersion=str(number))
    return _read_back(clients, state.server, lambda now: now.version == number and now.data == data)


def _prepared(clients: Clients, state: LaunchState, data: Data) -> int | None:
    """The number of a version that an earlier try made and did not get to make the default; None: there is none."""
    answer = clients.ec2.describe_launch_template_versions(LaunchTemplateId=state.template_id, Versions=["$Latest"])
    for version in answer.get("LaunchTemplateVersions") or ():
        ours = str(version.get("VersionDescription") or "").startswith(DESCRIPTION)
        same = as_request(clients, version.get("LaunchTemplateData") or {}) == data
        # An equal draft of somebody else stays a draft.
        if ours and same and int(version["VersionNumber"]) != state.version:
            return int(version["VersionNumber"])
    return None


def _create(clients: Clients, state: LaunchState, parts: dict[str, Any], data: Data) -> int:
    """Make a version that is the default one but for some parts; nothing launches from it yet.

    :param parts: the parts of the data that change, each whole.
    :param data: what the version has to say then.
    """
    answer = clients.ec2.create_launch_template_version(
        LaunchTemplateId=state.template_id,
        SourceVersion=str(state.version),
        VersionDescription=f"{DESCRIPTION}, from version {state.version}",
        LaunchTemplateData=parts,
    )
    version = answer["LaunchTemplateVersion"]
    number = int(version["VersionNumber"])
    errors = (answer.get("Warning") or {}).get("Errors") or ()
    reasons = [f"{error.get('Code')}: {error.get('Message')}" for error in errors]
    if not reasons and as_request(clients, version.get("LaunchTemplateData") or {}) != data:
        reasons = ["the new version says something else than it was asked to say"]
    if reasons:
        _delete(clients, state.template_id, number)
        raise NotAppliedError(f"EC2 does not take the settings of {state.template_id}: {'; '.join(reasons)}")
    return number


def _delete(clients: Clients, template_id: str, number: int) -> None:
    """Delete a version that is not the default, so that nobody takes it for a good one."""
    try:
        answer = clients.ec2.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=[str(number)])
    except ClientError as error:
        why: Any = error
    else:
        why = answer.get("UnsuccessfullyDeletedLaunchTemplateVersions")
    if why:
        log.warning("Version %s of %s, which is not the default, stays: %s", number, template_id, why)


def _read_back(clients: Clients, server: str, done: Callable[[LaunchState], bool]) -> LaunchState:
    until = time.monotonic() + VISIBLE
    while True:
        state = read(clients, server)
        if done(state):
            return state
        if time.monotonic() >= until:
            raise NotAppliedError(
                f"the default version of {state.template_id} is version {state.version}, and does not say what was "
                "applied: somebody else changed it at the same time"
            )
        pause_for(1.0)
