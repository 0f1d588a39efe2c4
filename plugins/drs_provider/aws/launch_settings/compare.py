"""What differs between the settings that a server has and those that are wanted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drs_provider.aws.launch_settings.leaves import EC2_KEYS, ObstacleError, disk_obstacles, write_leaf
from drs_provider.aws.launch_settings.state import LaunchState

__all__ = ["DRS_KEYS", "Change", "Comparison", "compare", "drs_request", "wanted_data"]

DRS_KEYS = (
    "right_sizing", "copy_private_ip", "copy_tags", "start", "byol", "recovery_mode", "launch_into",
    "post_launch_actions",
)  # fmt: skip
"""The settings that stand in the DRS launch configuration."""


@dataclass(frozen=True)
class Change:
    """One setting that differs.

    :param key: a key of :class:`~drs_provider.aws.launch_settings.state.Settings`.
    :param now: what AWS has; None where it says nothing.
    :param wanted: what is wanted.
    """

    key: str
    now: Any
    wanted: Any


@dataclass(frozen=True)
class Comparison:
    """What differs at one server.

    :param state: what was seen; :func:`~drs_provider.aws.launch_settings.apply.apply` refuses another.
    :param wanted: the settings that are wanted, subnet and groups as ids.
    :param changes: what differs, in the order of the keys.
    :param obstacles: why the wanted settings cannot be applied; nothing is, where there is one.
    :param warnings: what DRS will do to them afterwards.
    """

    state: LaunchState
    wanted: Mapping[str, Any]
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def compare(state: LaunchState, wanted: Mapping[str, Any], *, windows: bool = False) -> Comparison:
    """Compare a server's settings with those that are wanted.

    :param state: what the server has, see :func:`~drs_provider.aws.launch_settings.state.read`.
    :param wanted: some of the keys; subnet and security groups as ids.
    :param windows: whether the server runs Windows.
    """
    obstacles: list[str] = []
    differing = {key for key in DRS_KEYS if key in wanted and _drs_value(key, wanted[key]) != _drs_now(state, key)}
    data = copy.deepcopy(dict(state.data))
    for key in EC2_KEYS:
        if key not in wanted:
            continue
        before = copy.deepcopy(data)
        try:
            write_leaf(data, key, wanted[key])
        except ObstacleError as error:
            obstacles.append(str(error))
            data = before
            differing.add(key)
            continue
        if data != before:
            differing.add(key)
    if data.get("BlockDeviceMappings") != state.data.get("BlockDeviceMappings"):
        obstacles += disk_obstacles(data)
    settings = state.settings
    changes = tuple(
        Change(key, getattr(settings, key), wanted[key]) for key in settings.__dataclass_fields__ if key in differing
    )
    obstacles += _refused(state, wanted, data, windows)
    return Comparison(state, wanted, changes, tuple(obstacles), tuple(_overwritten(state, wanted)))


def wanted_data(state: LaunchState, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The data that the template's default version is to have.

    :raises ObstacleError: the template cannot have a setting as it is.
    """
    data = copy.deepcopy(dict(state.data))
    for key in EC2_KEYS:
        if key in wanted:
            write_leaf(data, key, wanted[key])
    return data


def drs_request(state: LaunchState, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What UpdateLaunchConfiguration is to be asked for; empty where nothing of it differs."""
    request: dict[str, Any] = {}
    for key in DRS_KEYS:
        if key in wanted and (value := _drs_value(key, wanted[key])) != _drs_now(state, key):
            request |= value
    return request


def _drs_value(key: str, wanted: Any) -> dict[str, Any]:
    """A setting as UpdateLaunchConfiguration takes it."""
    if key == "right_sizing":
        return {"targetInstanceTypeRightSizingMethod": wanted.upper()}
    if key == "start":
        return {"launchDisposition": "STARTED" if wanted else "STOPPED"}
    if key == "byol":
        return {"licensing": {"osByol": wanted}}
    if key == "recovery_mode":
        return {"recoveryMode": wanted.upper()}
    if key == "launch_into":
        return {"launchIntoInstanceProperties": {"launchIntoEC2InstanceID": wanted}}
    if key == "post_launch_actions":
        # Whether their failure counts is the caller's to judge; DRS knows only on and off.
        return {"postLaunchEnabled": wanted is not False}
    return {{"copy_private_ip": "copyPrivateIp", "copy_tags": "copyTags"}[key]: wanted}


def _drs_now(state: LaunchState, key: str) -> dict[str, Any]:
    now = getattr(state.settings, key)
    return {} if now is None else _drs_value(key, now)


def _refused(state: LaunchState, wanted: Mapping[str, Any], data: Mapping[str, Any], windows: bool) -> list[str]:
    """What DRS refuses of the settings as they would be."""
    found = []

    def then(key: str) -> Any:
        return wanted.get(key, getattr(state.settings, key))

    tenancy = (data.get("Placement") or {}).get("Tenancy")
    if windows and wanted.get("byol") is True and tenancy != "host":
        found.append("byol: true on a Windows server needs tenancy: host")
    if "launch_into" in wanted:
        found += [f"launch_into needs {key}: false" for key in ("copy_private_ip", "copy_tags") if then(key)]
    return found


def _overwritten(state: LaunchState, wanted: Mapping[str, Any]) -> list[str]:
    found = []

    def then(key: str) -> Any:
        return wanted.get(key, getattr(state.settings, key))

    if "instance_type" in wanted and then("right_sizing") in ("basic", "in_aws"):
        found.append(
            f"right-sizing is {then('right_sizing')}, and overwrites instance_type within 90 minutes: "
            "write right_sizing: none"
        )
    if "private_ip" in wanted and then("copy_private_ip"):
        found.append(
            "copyPrivateIp is on, and overwrites private_ip within an hour: write copy_private_ip: false beside it"
        )
    return found
