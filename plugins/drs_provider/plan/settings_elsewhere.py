"""Where something lives that people write into a plan, and that a plan has no key for."""

from __future__ import annotations

from drs_provider.plan.launch import LAUNCH_KEYS
from drs_provider.run_parameters import RUN_PARAMETERS

__all__ = ["lives"]

_LAUNCH = "write it as {} under launch of a server, a group, a wave or defaults"
_TEMPLATE = "it is set in the server's EC2 launch template"
_CONFIGURATION = "it is set in the server's launch settings in DRS"
_RUN = "it is a run parameter: give it when the run is started"
_CONNECTION = "it belongs into the Airflow connection that target.aws_conn_id names"

_PLACES = {
    **{key: _LAUNCH.format(key) for key in LAUNCH_KEYS},
    **{
        other: _LAUNCH.format(key)
        for key, others in (
            ("instance_type", ("instance_types",)),
            ("subnet", ("subnet_id", "subnets")),
            ("security_groups", ("security_group", "security_group_ids")),
            ("instance_profile", ("iam_instance_profile",)),
            ("private_ip", ("static_ip",)),
            ("public_ip", ("associate_public_ip",)),
            ("volume_type", ("ebs",)),
            ("metadata_tokens", ("metadata_options", "imdsv2")),
            ("tags", ("instance_tags",)),
            ("start", ("launch_disposition",)),
            ("byol", ("licensing", "os_byol")),
            ("post_launch_actions", ("post_launch_enabled",)),
        )
        for other in others
    },
    **dict.fromkeys(
        ("key_name", "key_pair", "kms_key", "user_data", "availability_zone", "launch_template"), _TEMPLATE
    ),
    **dict.fromkeys(("boot_mode",), _CONFIGURATION),
    **dict.fromkeys(
        ("launch_config", "launch_configuration", "launch_settings"),
        "launch settings stand under launch of a server, a group, a wave or defaults",
    ),
    **dict.fromkeys(
        (
            *(each.name for each in RUN_PARAMETERS), "is_drill", "point_in_time",
        ),
        _RUN,
    ),
    **dict.fromkeys(
        (
            "role_arn", "assume_role", "assume_role_arn", "external_id", "account", "account_id", "profile",
            "access_key", "secret_key", "endpoint_url",
        ),
        _CONNECTION,
    ),
    **dict.fromkeys(("start_date", "catchup", "max_active_runs"), "the schedule is drill.schedule, in drill.timezone"),
}  # fmt: skip


def lives(key: str) -> str:
    """Return ``"; it is …"`` to append to a message; empty for a key that nothing is known of.

    :param key: an unknown key, as it is written: ``instanceType`` and ``instance-type`` are ``instance_type``.
    """
    if len(key) > 100:
        return ""
    snake = "".join(f"_{each.lower()}" if each.isupper() else each for each in key).replace("-", "_").strip("_")
    place = _PLACES.get(snake)
    return f"; {place}" if place else ""
