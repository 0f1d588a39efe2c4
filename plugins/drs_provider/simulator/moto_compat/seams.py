"""The parts of moto's inside that the simulator uses or replaces, and a check that they are where they were.

moto promises nothing of them. A release that moves one is refused when the simulator is registered, with its name,
and not found out by an answer that is slightly wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import moto

from drs_provider.seams import moved_seams

__all__ = ["ATTRIBUTES", "SIGNATURES", "MotoChangedError", "check"]

#: Attributes that must be there, as `module:object.attribute`.
ATTRIBUTES: Final[tuple[str, ...]] = (
    "moto.backend_index:backend_url_patterns",
    "moto.backends:get_backend",
    "moto.core.base_backend:BackendDict.reset",
    "moto.core.base_backend:BackendDict._instances",
    "moto.core.base_backend:BaseBackend.urls",
    "moto.core.base_backend:BaseBackend.flask_paths",
    "moto.core.model_instances:reset_model_data",
    "moto.core.models:botocore_stubber",
    "moto.core.responses:method_names_from_class",
    "moto.core.serialize:get_serializer_class",
    "moto.core.utils:MISSING",
    "moto.core.utils:service_name_from_moto_package_name",
    "moto.ec2.models.amis:AMIS",
    "moto.ec2.models.instance_types:INSTANCE_TYPES",
    "moto.ec2.models.instances:Instance.start",
    "moto.ec2.models.instances:Instance.stop",
    "moto.ec2.models.instances:Instance.terminate",
    "moto.ec2.models.subnets:Subnet._base_avail_ip_iterator.cache_clear",
    "moto.ec2.models.subnets:Subnet.del_subnet_ip",
    "moto.ec2.utils:EC2_PREFIX_TO_RESOURCE",
    "moto.iam.models:get_account_id_from",
    "moto.moto_server.werkzeug_app:DomainDispatcherApplication.get_backend_for_host",
    "moto.moto_server.werkzeug_app:MotoRequestHandler",
)
#: Functions that are called or replaced, by what their parameters must begin with.
SIGNATURES: Final[dict[str, tuple[str, ...]]] = {
    "moto.core.botocore_stubber:BotocoreStubber.process_request": ("self", "request"),
    "moto.core.responses:BaseResponse.get_current_account": ("self",),
    "moto.core.responses:BaseResponse._dispatch": ("self", "request", "full_url", "headers"),
    "moto.core.responses:BaseResponse._enrich_response": ("headers", "body"),
    "moto.core.responses:BaseResponse._get_param": ("self", "param_name"),
    "moto.core.serialize:EC2Serializer._serialize_body": ("self", "body"),
    "moto.core.serialize:XFormedAttributePicker.get_possible_keys": ("self", "context"),
    "moto.core.serialize:XFormedAttributePicker.__call__": ("self", "context"),
    "moto.core.utils:get_value": ("obj", "key", "default"),
    "moto.ec2.models.amis:AmiBackend._load_amis": ("self",),
    "moto.ec2.models.amis:AmiBackend.describe_images": ("self", "ami_ids", "filters"),
    "moto.ec2.models.instances:InstanceBackend.get_instance": ("self", "instance_id"),
    "moto.ec2.models.instances:InstanceBackend.start_instances": ("self", "instance_ids"),
    "moto.ec2.models.instances:InstanceBackend.stop_instances": ("self", "instance_ids"),
    "moto.ec2.models.instances:InstanceBackend.terminate_instances": ("self", "instance_ids"),
    "moto.ec2.models.instances:random_instance_id": (),
    "moto.ec2.models.launch_templates:LaunchTemplate.get_version": ("self", "num"),
    "moto.ec2.models.launch_templates:LaunchTemplate.latest_version": ("self",),
    "moto.ec2.models.tags:TagBackend.describe_tags": ("self", "filters"),
    "moto.ec2.responses.launch_templates:LaunchTemplates.create_launch_template_version": ("self",),
    "moto.ec2.responses.launch_templates:LaunchTemplates.describe_launch_template_versions": ("self",),
    "moto.iam.access_control:create_access_key": ("account_id", "partition", "access_key_id", "headers"),
    "moto.ssm.models:SimpleSystemManagerBackend.create_document": ("self",),
}
#: What the constructors of classes must set.
_SET_BY_INIT: Final[dict[str, tuple[str, ...]]] = {
    "moto.ec2.models.instances:Instance": ("_state",),
    "moto.ec2.models.subnets:Subnet": ("_subnet_ips",),
    "moto.ec2.models.tags:TagBackend": ("tags",),
    "moto.ssm.models:SimpleSystemManagerBackend": ("_documents",),
}


class MotoChangedError(RuntimeError):
    """This release of moto lacks something that the simulator needs."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__(
            f"The simulator does not work with moto {moto.__version__}: {'; '.join(problems)}. "
            "Install the release that the constraints name."
        )


def check() -> None:
    """Refuse a moto whose inside is another.

    :raises MotoChangedError: with every seam that has moved.
    """
    if problems := moved_seams(ATTRIBUTES, SIGNATURES, _SET_BY_INIT):
        raise MotoChangedError(problems)
