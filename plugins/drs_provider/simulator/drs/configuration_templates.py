"""The launch and replication configuration templates of an account and region, from which new servers begin.

There is one of each: the one that InitializeService makes, until it is deleted.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from moto.ec2.models import ec2_backends

from drs_provider.simulator.drs.exceptions import NotFound, QuotaExceeded
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request

__all__ = ["LAUNCH_SETTINGS", "REPLICATION_SETTINGS", "ConfigurationTemplate", "ConfigurationTemplates"]

_PIT_POLICY = [
    {"ruleID": 1, "units": "MINUTE", "interval": 10, "retentionDuration": 60, "enabled": True},
    {"ruleID": 2, "units": "HOUR", "interval": 1, "retentionDuration": 24, "enabled": True},
    {"ruleID": 3, "units": "DAY", "interval": 1, "retentionDuration": 7, "enabled": True},
]
REPLICATION_SETTINGS: Final[dict[str, Any]] = {
    "associateDefaultSecurityGroup": True,
    "replicationServersSecurityGroupsIDs": [],
    "replicationServerInstanceType": "t3.small",
    "useDedicatedReplicationServer": False,
    "defaultLargeStagingDiskType": "GP3",
    "ebsEncryption": "DEFAULT",
    "bandwidthThrottling": 0,
    "dataPlaneRouting": "PRIVATE_IP",
    "createPublicIP": False,
    "stagingAreaTags": {},
    "pitPolicy": _PIT_POLICY,
    "autoReplicateNewDisks": False,
    "internetProtocol": "IPV4",
}
"""The settings of replication that a server begins with."""
LAUNCH_SETTINGS: Final[dict[str, Any]] = {
    "launchDisposition": "STARTED",
    "targetInstanceTypeRightSizingMethod": "BASIC",
    "copyPrivateIp": False,
    "copyTags": True,
    "licensing": {"osByol": False},
    "postLaunchEnabled": False,
}
"""The settings of launches that a server begins with."""


@dataclass
class ConfigurationTemplate:
    """One template; `kind` is its name in the API."""

    kind: str
    id: str
    account: str
    region: str
    settings: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The ARN."""
        kind = "launch" if self.kind == "LaunchConfigurationTemplate" else "replication"
        return f"arn:aws:drs:{self.region}:{self.account}:{kind}-configuration-template/{self.id}"

    def describe(self) -> dict[str, Any]:
        """As the operations show it."""
        id_name = self.kind[0].lower() + self.kind[1:] + "ID"
        return {**self.settings, id_name: self.id, "arn": self.arn, "tags": dict(self.tags)}


class ConfigurationTemplates(Component):
    """Create, update, describe and delete."""

    def make_templates(self) -> None:
        """The templates that an account has once it is initialized."""
        for kind, prefix, templates in (
            ("LaunchConfigurationTemplate", "lct-", self.backend.launch_templates),
            ("ReplicationConfigurationTemplate", "rct-", self.backend.replication_templates),
        ):
            seed = f"{self.backend.account_id}/{self.backend.region_name}/{prefix}"
            id_ = prefix + hashlib.sha256(seed.encode()).hexdigest()[:17]
            settings = LAUNCH_SETTINGS if prefix == "lct-" else REPLICATION_SETTINGS
            templates[id_] = ConfigurationTemplate(
                kind, id_, self.backend.account_id, self.backend.region_name, dict(settings)
            )

    def create_launch_configuration_template(self, request: Request) -> dict[str, Any]:
        """CreateLaunchConfigurationTemplate: one an account and region."""
        made = self._create(
            "LaunchConfigurationTemplate", "lct-", self.backend.launch_templates, LAUNCH_SETTINGS, request
        )
        return {"launchConfigurationTemplate": made}

    def update_launch_configuration_template(self, request: Request) -> dict[str, Any]:
        """UpdateLaunchConfigurationTemplate: what is absent stays, and servers that are there stay as they are."""
        template = self._template(self.backend.launch_templates, request["launchConfigurationTemplateID"])
        template.settings.update({key: value for key, value in request.items() if not key.endswith("TemplateID")})
        return {"launchConfigurationTemplate": template.describe()}

    def describe_launch_configuration_templates(self, request: Request) -> dict[str, Any]:
        """DescribeLaunchConfigurationTemplates."""
        return self._describe(request, "launchConfigurationTemplateIDs", self.backend.launch_templates)

    def delete_launch_configuration_template(self, request: Request) -> dict[str, Any]:
        """DeleteLaunchConfigurationTemplate."""
        template = self._template(self.backend.launch_templates, request["launchConfigurationTemplateID"])
        del self.backend.launch_templates[template.id]
        return {}

    def create_replication_configuration_template(self, request: Request) -> dict[str, Any]:
        """CreateReplicationConfigurationTemplate: one an account and region."""
        kind = "ReplicationConfigurationTemplate"
        return self._create(kind, "rct-", self.backend.replication_templates, REPLICATION_SETTINGS, request)

    def update_replication_configuration_template(self, request: Request) -> dict[str, Any]:
        """UpdateReplicationConfigurationTemplate: what is absent stays, and servers that are there stay as they are."""
        template = self._template(self.backend.replication_templates, request["replicationConfigurationTemplateID"])
        changes = {key: value for key, value in request.items() if key != "arn" and not key.endswith("TemplateID")}
        template.settings.update(changes)
        return self._shown(template)

    def describe_replication_configuration_templates(self, request: Request) -> dict[str, Any]:
        """DescribeReplicationConfigurationTemplates."""
        return self._describe(request, "replicationConfigurationTemplateIDs", self.backend.replication_templates)

    def delete_replication_configuration_template(self, request: Request) -> dict[str, Any]:
        """DeleteReplicationConfigurationTemplate."""
        template = self._template(self.backend.replication_templates, request["replicationConfigurationTemplateID"])
        del self.backend.replication_templates[template.id]
        return {}

    def begin_from_template(self, server: SourceServer) -> None:
        """A new server has the settings and the actions of the launch configuration template."""
        for template in self.backend.launch_templates.values():
            server.launch_configuration.update(template.settings)
            for action in self.backend.launch_actions.get(template.id, {}).values():
                self.backend.launch_actions.setdefault(server.id, {})[action["actionId"]] = dict(action)

    def staging_subnet(self) -> str:
        """The subnet of the staging area, where no template names another."""
        subnets = ec2_backends[self.backend.account_id][self.backend.region_name].subnets
        return str(next(iter(subnets[sorted(subnets)[0]])))

    def _made(self, kind: str, id_: str, settings: dict[str, Any], tags: dict[str, str]) -> ConfigurationTemplate:
        here = self.backend
        return ConfigurationTemplate(kind, id_, here.account_id, here.region_name, settings, tags)

    def _create(
        self,
        kind: str,
        prefix: str,
        templates: dict[str, ConfigurationTemplate],
        defaults: dict[str, Any],
        request: Request,
    ) -> dict[str, Any]:
        if templates:
            raise QuotaExceeded(f"Maximum number of {kind} resources (1) exceeded", quota_code="")
        settings = {**defaults, **{key: value for key, value in request.items() if key != "tags"}}
        id_ = prefix + uuid.uuid4().hex[:17]
        tags = dict(request.get("tags") or {})
        templates[id_] = ConfigurationTemplate(
            kind, id_, self.backend.account_id, self.backend.region_name, settings, tags
        )
        return self._shown(templates[id_])

    def _describe(
        self, request: Request, filter_name: str, templates: dict[str, ConfigurationTemplate]
    ) -> dict[str, Any]:
        wanted = request.get(filter_name) or list(templates)
        found = [self._template(templates, one) for one in wanted]
        return self.backend.paged(request, found, lambda template: template.id, self._shown)

    def _shown(self, template: ConfigurationTemplate) -> dict[str, Any]:
        shown = template.describe()
        if template.kind == "ReplicationConfigurationTemplate":
            shown.setdefault("stagingAreaSubnetId", self.staging_subnet())
        return shown

    @staticmethod
    def _template(templates: dict[str, ConfigurationTemplate], template_id: str) -> ConfigurationTemplate:
        if template_id not in templates:
            kind = (
                "LaunchConfigurationTemplate" if template_id.startswith("lct-") else "ReplicationConfigurationTemplate"
            )
            raise NotFound(kind, template_id)
        return templates[template_id]
