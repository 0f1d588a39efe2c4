"""The scenario file: the recovery region that a simulation starts with, and how things in it will go.

`Scenario` is the file's model; `drs_provider.simulator.scenario_file` reads one and refuses a bad one by line.
Durations and ages are seconds of AWS, before the speed factor.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from drs_provider.durations import Seconds
from drs_provider.simulator.documents import AgentSpec, DocumentSpec, SsmSpec
from drs_provider.simulator.faults import Fault
from drs_provider.simulator.launch_rules import Ec2Rules, LaunchRules
from drs_provider.simulator.quotas import DRS_QUOTAS, quota_code

__all__ = [
    "AccountSpec",
    "ChangeSpec",
    "Durations",
    "InstanceSpec",
    "LaunchTemplateSpec",
    "RoleSpec",
    "Scenario",
    "ServerSpec",
    "SnapshotSpec",
]

ReplicationState = Literal[
    "STOPPED",
    "INITIATING",
    "INITIAL_SYNC",
    "BACKLOG",
    "CREATING_SNAPSHOT",
    "CONTINUOUS",
    "PAUSED",
    "RESCAN",
    "STALLED",
    "DISCONNECTED",
]
Outcome = Literal["launched", "failed", "failed_silently", "skipped", "hangs"]
FailbackError = Literal[
    "AGENT_NOT_SEEN",
    "FAILBACK_CLIENT_NOT_SEEN",
    "NOT_CONVERGING",
    "UNSTABLE_NETWORK",
    "FAILED_TO_ESTABLISH_RECOVERY_INSTANCE_COMMUNICATION",
    "FAILED_TO_DOWNLOAD_REPLICATION_SOFTWARE_TO_FAILBACK_CLIENT",
    "FAILED_TO_CONFIGURE_REPLICATION_SOFTWARE",
    "FAILED_TO_PAIR_AGENT_WITH_REPLICATION_SOFTWARE",
    "FAILED_TO_ESTABLISH_AGENT_REPLICATOR_SOFTWARE_COMMUNICATION",
    "FAILED_GETTING_REPLICATION_STATE",
]


def _known_quotas(quotas: dict[str, int]) -> dict[str, int]:
    for name in quotas:
        if quota_code(name) is None:
            known = ", ".join(quota.key for quota in DRS_QUOTAS)
            raise ValueError(f"unknown quota {name!r}; expected a quota code or one of {known}")
    return quotas


def _valid_policy(document: dict[str, Any]) -> dict[str, Any]:
    from moto.iam.exceptions import MalformedPolicyDocument
    from moto.iam.policy_validation import IAMPolicyDocumentValidator

    whole = {"Version": "2012-10-17", **document}
    try:
        IAMPolicyDocumentValidator(json.dumps(whole)).validate()
    except MalformedPolicyDocument as error:
        raise ValueError(f"not an IAM policy document: {error.message}") from error
    return whole


Quotas = Annotated[dict[str, int], AfterValidator(_known_quotas)]
#: One or several: the n-th launch has the n-th, and the last one repeats.
Outcomes = Annotated[list[Outcome], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
#: One or several: the n-th boot of the failback client has the n-th, null for none, and the last one repeats.
FailbackErrors = Annotated[
    list[FailbackError | None], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Durations(_Spec):
    """How long the phases of a job take, where it differs from what live drills took."""

    snapshot: Seconds | None = Field(default=None, description="SNAPSHOT_START to SNAPSHOT_END")
    snapshot_timeout: Seconds | None = Field(
        default=None, description="SNAPSHOT_START to SNAPSHOT_FAIL, where the server's agent is not seen"
    )
    preparation: Seconds | None = Field(default=None, description="SNAPSHOT_END to CONVERSION_START")
    conversion: Seconds | None = None
    launch: Seconds | None = None
    cleanup: Seconds | None = Field(default=None, description="CLEANUP_START to CLEANUP_END")
    terminate: Seconds | None = Field(default=None, description="A TERMINATE job, from its start to its end")
    boot: Seconds | None = Field(default=None, description="From LAUNCH_END until the EC2 status checks pass")
    initiation: Seconds | None = Field(default=None, description="INITIATING, of a replication that starts")
    initial_sync: Seconds | None = None
    rescan: Seconds | None = None
    catch_up: Seconds | None = Field(
        default=None, description="From CONTINUOUS until the lag is zero and the rescan finished"
    )
    initialisation: Seconds | None = Field(
        default=None, description="From LAUNCH_END until the agent has initialised and replication can be reversed"
    )


class SnapshotSpec(_Spec):
    """A recovery snapshot that is there already."""

    age: Seconds
    finished: bool = Field(default=True, description="An unfinished one has no timestamp")
    id: str | None = Field(default=None, pattern=r"^pit-[0-9a-zA-Z]{17}$")


class ChangeSpec(_Spec):
    """What becomes of a server's replication some time after the scenario was loaded."""

    after: Seconds
    replication: ReplicationState | None = None
    lag: Seconds | None = None
    lag_growth: float | None = None
    error: str | None = Field(default=None, description="dataReplicationError.error, such as AGENT_NOT_SEEN")
    rescanned: float | None = Field(default=None, ge=0, le=1, description="The share of the disks that is rescanned")


class LaunchTemplateSpec(_Spec):
    """The EC2 launch template of a server; without subnet, security group or profile, launches fail in silence."""

    subnet: bool = True
    security_group: bool = True
    instance_profile: bool = True
    instance_type: str = "c5.large"


class ServerSpec(_Spec):
    """A source server."""

    id: str = Field(pattern=r"^s-[0-9a-zA-Z]{17}$")
    hostname: str
    fqdn: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    os: Literal["linux", "windows"] = "linux"
    replication: ReplicationState = "CONTINUOUS"
    replication_error: str | None = None
    lag: Seconds = 0.0
    lag_growth: float = Field(default=0.0, description="Seconds of lag that every second of AWS adds")
    rescanned: float | None = Field(default=None, ge=0, le=1, description="The share of the disks that is rescanned")
    changes: list[ChangeSpec] = Field(default_factory=list)
    durations: Durations = Field(default_factory=Durations)
    outcome: Outcomes = ["launched"]
    fail_at: Literal["snapshot", "conversion", "launch"] = "launch"
    error: str | None = Field(default=None, description="rawError of a failed launch")
    snapshots: list[SnapshotSpec] | None = Field(default=None, description="Absent: what the default policy keeps")
    launch_disposition: Literal["STARTED", "STOPPED"] = "STARTED"
    launch_template: LaunchTemplateSpec = Field(default_factory=LaunchTemplateSpec)
    copy_private_ip: bool = False
    right_sizing: Literal["NONE", "BASIC", "IN_AWS"] = "BASIC"
    recommended_type: str | None = Field(
        default=None, description="What right-sizing writes into the launch template; absent: the template's own type"
    )
    copy_tags: bool = True
    status_checks: Literal["ok", "impaired"] = "ok"
    agent: AgentSpec | None = None
    launched: Literal["drill", "recovery"] | None = Field(
        default=None, description="An earlier drill or recovery left an instance"
    )
    origin: Literal["aws", "on_premises"] = "aws"
    origin_instance: str | None = Field(default=None, pattern=r"^i-[0-9a-f]{8,17}$")
    origin_region: str = "us-east-1"
    origin_account: str | None = Field(default=None, pattern=r"^\d{12}$")
    failback_client: Seconds | None = Field(
        default=None, description="On premises: the failback client is booted this long after a recovery"
    )
    failback_error: FailbackErrors = Field(
        default=[None], min_length=1, description="On premises: why the failback client cannot replicate"
    )
    failback_media_removed: Seconds | None = Field(
        default=None, description="On premises: a person takes the ISO out and reboots this long after the failback"
    )
    failback_agent: Literal["survives", "lost"] = Field(
        default="survives", description="On premises: whether the agent replicates again after the failback"
    )
    failback_outcome: Outcomes = ["launched"]
    private_ip: str | None = None
    ebs_encryption: Literal["DEFAULT", "CUSTOM", "NONE"] = Field(
        default="DEFAULT", description="Of its staging volumes; with the default key no account can extend it"
    )
    disks: list[int] = Field(default_factory=lambda: [32 * 2**30], description="Bytes of each disk")


class InstanceSpec(_Spec):
    """An EC2 instance that DRS did not launch, its SSM agent online."""

    id: str | None = Field(default=None, pattern=r"^i-[0-9a-f]{8,17}$")
    name: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    os: Literal["linux", "windows"] = "linux"
    state: Literal["running", "stopped"] = "running"


class RoleSpec(_Spec):
    """An IAM role that callers assume, to reach another account or to act with fewer permissions."""

    arn: str = Field(pattern=r"^arn:aws:iam::\d{12}:role/[\w+=,.@/-]+$")
    external_id: str | None = Field(default=None, description="What whoever assumes it has to send as ExternalId")
    trusts: list[str] = Field(
        default_factory=list, description="Accounts or ARNs that may assume it; absent: every account of the scenario"
    )
    policies: list[Annotated[dict[str, Any], AfterValidator(_valid_policy)]] = Field(
        default_factory=list, description="IAM policy documents: what it may do where `iam` is true"
    )


#: A role alone stands for one that every account of the scenario may assume.
Roles = Annotated[
    list[RoleSpec],
    BeforeValidator(
        lambda value: (
            [{"arn": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value
        )
    ),
]


class AccountSpec(_Spec):
    """Another account or region, reached by an assumed role or by a region name."""

    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    region: str | None = None
    initialized: bool = True
    servers: list[ServerSpec] = Field(default_factory=list)
    instances: list[InstanceSpec] = Field(default_factory=list)
    quotas: Quotas = Field(default_factory=dict)


class Scenario(_Spec):
    """A whole recovery region."""

    region: str = "us-west-2"
    account: str = Field(default="123456789012", pattern=r"^\d{12}$")
    initialized: bool = Field(default=True, description="Whether InitializeService was called")
    servers: list[ServerSpec] = Field(default_factory=list)
    accounts: list[AccountSpec] = Field(default_factory=list)
    instances: list[InstanceSpec] = Field(default_factory=list)
    topics: list[str] = Field(default_factory=list, description="SNS topics, by name or ARN")
    roles: Roles = Field(default_factory=list, description="IAM roles, by ARN or with what they trust and may do")
    documents: dict[str, DocumentSpec] = Field(default_factory=dict)
    faults: list[Fault] = Field(default_factory=list)
    page_size: int | None = Field(default=None, ge=1, description="The longest page of any list, DRS and SSM alike")
    quotas: Quotas = Field(default_factory=dict, description="By code or short name; absent ones are at AWS's default")
    durations: Durations = Field(default_factory=Durations, description="Of every server that does not say otherwise")
    launching: LaunchRules = Field(default_factory=LaunchRules)
    ec2: Ec2Rules = Field(default_factory=Ec2Rules)
    agent: AgentSpec = Field(default_factory=AgentSpec)
    ssm: SsmSpec = Field(default_factory=SsmSpec)
    iam: bool = Field(default=False, description="Enforce IAM policies: a caller without a right gets AccessDenied")
    job_recovery_instance_ids: bool = Field(
        default=False, description="Completed jobs name recovery instances; live ones often do not"
    )

    def sites(self) -> list[tuple[str, str, AccountSpec]]:
        """Every (account, region, what is there), this scenario's own first."""
        own = AccountSpec(
            account=self.account,
            region=self.region,
            initialized=self.initialized,
            servers=self.servers,
            instances=self.instances,
            quotas=self.quotas,
        )
        return [(self.account, self.region, own)] + [
            (other.account or self.account, other.region or self.region, other) for other in self.accounts
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without what is at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)
