"""Can each server be launched into something usable: its DRS launch configuration and EC2 launch template.

DRS launches from the template's default version. A template without a subnet or a security group launches into the
default VPC, where there is one, or fails without saying why; an instance without a profile may never come online in
Systems Manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.launched_into import CONSENT, CONSENT_TAG, launch_target
from drs_provider.aws.launch_settings import LaunchState, Resources, as_request
from drs_provider.readiness.findings import Finding, Mode, Severity
from drs_provider.readiness.launch_drift import WantedLaunch, drift
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.readiness.template_fit import NamedResources, address_of, unfit

if TYPE_CHECKING:
    from drs_provider.plan import Wave

__all__ = ["check_launch_configuration", "needs_agent", "needs_running"]


def needs_agent(wave: Wave, mode: Mode, *, scripts: bool = True) -> bool:
    """Whether the wave needs the SSM agent on what it launches, for a script or for a health check.

    :param wave: the wave.
    :param mode: ``drill`` or ``recovery``.
    :param scripts: whether scripts run at all in this run.
    """
    after = [script for script in wave.post_launch if mode in script.modes] if scripts else []
    on_instances = any(script.run_command and script.targets == "recovery_instances" for script in after)
    return on_instances or any(
        check.type == "ssm_online" or getattr(check, "via", None) == "ssm" for check in wave.health_checks
    )


def needs_running(wave: Wave, mode: Mode, *, scripts: bool = True) -> bool:
    """Whether the wave needs its instances started: any health check, or a script on them.

    :param wave: the wave.
    :param mode: ``drill`` or ``recovery``.
    :param scripts: whether scripts run at all in this run.
    """
    return bool(wave.health_checks) or needs_agent(wave, mode, scripts=scripts)


def check_launch_configuration(
    clients: Clients,
    server: ResolvedServer,
    *,
    agent: bool,
    running: bool,
    resources: NamedResources | None = None,
    source: Mapping[str, Any] | None = None,
    wanted: WantedLaunch | None = None,
    tagged: Resources | None = None,
    terminates: bool = False,
) -> list[Finding]:
    """The findings on one server's launch settings (GetLaunchConfiguration, DescribeLaunchTemplateVersions).

    :param clients: the clients.
    :param server: the server.
    :param resources: what the templates of the plan's servers name; by default looked up for this server alone.
    :param source: the server in the shape of DescribeSourceServers.
    :param wanted: the launch settings that the plan gives it; None: not looked at.
    :param tagged: subnets and groups by their tags; by default looked up for this server alone.
    :param terminates: whether the run terminates what it launches.
    :param agent: whether its wave needs the SSM agent, see :func:`needs_agent`.
    :param running: whether its wave needs the instance started, see :func:`needs_running`.
    :raises botocore.exceptions.ClientError: if a call fails, except where the template does not exist.
    """
    name = server.hostname or server.id
    configuration = clients.drs.get_launch_configuration(sourceServerID=server.id)
    findings = []
    if running and configuration.get("launchDisposition") == "STOPPED":
        message = f"{name} is launched stopped (launchDisposition), but its wave checks it or runs scripts on it."
        remedy = "Set the launch disposition to STARTED, or take scripts and health checks out of the wave."
        findings.append(server.finding("launches-stopped", message, remedy))
    template_id = configuration.get("ec2LaunchTemplateID")
    found = _default_version(clients, template_id) if template_id else None
    if wanted is not None and wanted.settings and found is not None:
        state = LaunchState(server.id, configuration, str(template_id), found[0], as_request(clients, found[1]))
        findings += drift(server, wanted, state, tagged or Resources(clients), name)
    if into := launch_target(configuration):
        # It takes the network and the profile of the instance that it is launched into.
        return [*findings, *_check_target(clients, server, name, into)]

    template = found[1] if found is not None else None
    if template is None:
        message = f"{name} has no EC2 launch template{f' ({template_id} does not exist)' if template_id else ''}."
        remedy = "Open the server's launch settings in DRS, which creates it again."
        return [*findings, server.finding("launch-template-incomplete", message, remedy)]
    interfaces = template.get("NetworkInterfaces") or []
    own = any(interface.get("NetworkInterfaceId") for interface in interfaces)
    subnet = own or any(interface.get("SubnetId") for interface in interfaces)
    group = own or any(interface.get("Groups") for interface in interfaces)
    group = group or bool(template.get("SecurityGroupIds") or template.get("SecurityGroups"))
    lacking = [what for what, there in (("a subnet", subnet), ("a security group", group)) if not there]
    if lacking:
        message = f"The default version of {template_id} of {name} lacks {' and '.join(lacking)}."
        remedy = "Set it in the template and make that version the default."
        if newer := _newer_with_network(clients, template_id):
            message = f"{message} Version {newer}, the latest, has a network and is not the default."
            remedy = f"Make version {newer} the default, if it is what you want: DRS launches from the default version."
        findings.append(server.finding("launch-template-incomplete", message, remedy))
    if terminates and template.get("DisableApiTermination"):
        message = f"The default version of {template_id} protects the instances of {name} from termination."
        remedy = "Turn DisableApiTermination off in the template: the drill cannot terminate its instance otherwise."
        findings.append(server.finding("termination-protected", message, remedy))
    # With post-launch actions enabled, DRS attaches a profile of its own.
    if not _profile(template) and not configuration.get("postLaunchEnabled"):
        message = f"The default version of {template_id} of {name} has no instance profile."
        remedy = "Set one with AmazonSSMManagedInstanceCore, unless the account's default host management serves."
        severity: Severity = "error" if agent else "warning"
        findings.append(server.finding("instance-profile-missing", message, remedy, severity))
    address = address_of(template, configuration, source or {})
    resources = resources or NamedResources(clients)
    wrong, unread = unfit(resources, template, address, server.id)
    # DRS deletes a server's previous instance first, and its address with it.
    if subnets := [str(one["SubnetId"]) for one in interfaces if one.get("SubnetId")]:
        resources.count(subnets, has_instance=bool((source or {}).get("recoveryInstanceId")))
    if wrong:
        message = f"EC2 cannot launch {name} from {template_id}: {'; '.join(wrong)}."
        if address and configuration.get("copyPrivateIp"):
            message += " The address is the source's, copied by copyPrivateIp."
        remedy = "Correct it in the template and make that version the default; of a copied address, the subnet."
        findings.append(server.finding("launch-template-broken", message, remedy))
    if unread:
        message = f"What {template_id} of {name} names could not be looked up: {'; '.join(unread)}."
        remedy = "Allow it to the caller: the statement CheckLaunchTemplates of orchestration.json."
        findings.append(server.finding("launch-template-not-checked", message, remedy))
    return findings


def _check_target(clients: Clients, server: ResolvedServer, name: str, into: str) -> list[Finding]:
    """Say that a server is launched into an instance, and what DRS would refuse it for (DescribeInstances)."""
    message = f"{name} is launched into {into}, which exists already: its disks are replaced."
    remedy = "The end of a drill stops that instance and never terminates it."
    findings = [server.finding("launches-into", message, remedy)]
    answer = clients.ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [into]}])
    found = [one for group in answer.get("Reservations") or () for one in group.get("Instances") or ()]
    if not found:
        message = f"{name} is to be launched into {into}, which does not exist in this account and region."
        return [*findings, server.finding("launch-into-unusable", message, "Correct its launch settings in DRS.")]
    state = str(found[0].get("State", {}).get("Name"))
    tags = {tag["Key"]: tag["Value"] for tag in found[0].get("Tags") or ()}
    wrong = []
    if state != "stopped":
        wrong.append(f"is {state}, not stopped")
    if tags.get(CONSENT_TAG) != CONSENT:
        wrong.append(f"lacks the tag {CONSENT_TAG}={CONSENT}")
    if wrong:
        message = f"{name} is to be launched into {into}, which {' and '.join(wrong)}."
        remedy = "DRS launches into a stopped instance with that tag only: stop it, tag it."
        findings.append(server.finding("launch-into-unusable", message, remedy))
    return findings


def _default_version(clients: Clients, template_id: str) -> tuple[int, Mapping[str, Any]] | None:
    try:
        versions = clients.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Default"])
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("InvalidLaunchTemplateId"):
            return None
        raise
    found: list[dict[str, Any]] = versions.get("LaunchTemplateVersions") or []
    return (int(found[0]["VersionNumber"]), found[0].get("LaunchTemplateData") or {}) if found else None


def _newer_with_network(clients: Clients, template_id: str) -> int | None:
    """Return the number of the template's latest version, where that one has a network."""
    versions = clients.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Latest"])
    for version in versions.get("LaunchTemplateVersions") or ():
        interfaces = (version.get("LaunchTemplateData") or {}).get("NetworkInterfaces") or ()
        if any(one.get("SubnetId") for one in interfaces):
            return int(version["VersionNumber"])
    return None


def _profile(template: Mapping[str, Any]) -> bool:
    profile = template.get("IamInstanceProfile") or {}
    return bool(profile.get("Arn") or profile.get("Name"))
