"""Where the simulator answers otherwise than botocore's service models say, and otherwise than live AWS does or may.

Of the first, each has its reason: AWS itself answers so, or has to do something that its model leaves open. Everything
else conforms, which a test holds.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FROM_LIVE", "SHAPES", "UNDECLARED_ERRORS"]

#: Shapes whose values deviate, by service and name.
SHAPES: Final[dict[str, str]] = {
    "drs.ISO8601DatetimeString": "live times end in +00:00 with microseconds; the model's pattern wants Z",
    "drs.EbsVolumeID": "volume ids have 17 hexadecimal digits, as the model's pattern says; its length does not",
    "drs.JobLogEvent": "LAUNCH_END occurs live, with the instance's id, and is not in the model's enum",
    "ec2.PlatformValues": "EC2 says windows of a Windows instance (its API reference); the model's enum says Windows",
    "ssm.StringDateTime": "the times of GetCommandInvocation are empty until there is something to say, and its "
    "elapsed time is a duration (PT5.000S), which the model's pattern for times refuses",
}

#: Errors that operations give although their model does not declare them, by service and code.
UNDECLARED_ERRORS: Final[dict[str, str]] = {
    "drs.ResourceNotFoundException": "operations that name a resource must say that it is not there, and "
    "StartRecovery, TerminateRecoveryInstances, DescribeJobLogItems and some others declare no error for it",
    "drs.ServiceQuotaExceededException": "StartReplication and ReverseReplication add a replicating server, of which "
    "there is a quota, and declare no error for it",
    "drs.ValidationException": "every AWS service refuses what its model does not allow, declared or not",
    "drs.UninitializedAccountException": "live DRS answers it to every call before InitializeService",
    "drs.AccessDeniedException": "every AWS service refuses whom IAM does not allow, declared or not",
    "ssm.ValidationException": "every AWS service refuses what its model does not allow, declared or not",
    "ssm.ThrottlingException": "every AWS service throttles, declared or not",
}

#: What is simpler than live AWS, or assumed where live behaviour is not established, by the part that it is about.
FROM_LIVE: Final[dict[str, str]] = {
    "ec2.PrivateIpAddress": "a loopback address is accepted in every subnet, any number of times, so that checks "
    "over the network reach a server of this machine",
    "drs.ReverseReplication": "the agent of an instance initialises in a fixed time after each start; profile and "
    "metadata service of the instance are not looked at, and the server that comes to be has the forward one's tags",
    "drs.StopFailback": "it changes failback.state only; a source server that replicates the instance goes on",
    "drs.TerminateRecoveryInstances": "refused from ReverseReplication until StopReplication, at every moment between",
    "drs.DisconnectRecoveryInstance": "in a failback it leaves the source server STALLED, as without an agent",
    "drs.DataReplicationInfo": "an agent that is gone shows at once, not minutes later; a lag is caught up evenly, and "
    "the rescan goes on evenly",
    "drs.Failback": "failback.state of an AWS origin is FAILBACK_IN_PROGRESS until the launch, then FAILBACK_COMPLETED",
    "drs.StartFailbackLaunch": "the job logs conversions only",
    "ssm.SendCommand": "an agent that is gone is noticed after a fixed time, and a cancelled command ends as Cancelled "
    "although its instance is gone; a reboot does not disturb a command",
    "ssm.DescribeInstanceInformation": "a terminated instance is listed for as long as EC2 shows it",
    "ssm.StartAutomationExecution": "no loops, child runbooks and variables; selectors have no more than "
    "members, indices, slices, wildcards, descent and one comparison; aws:runCommand and scripts are not carried out; "
    "steps that wait look every five seconds; "
    "a runbook without content goes on as the scenario says, also on an instance that is away when it begins",
    "drs.ConflictException": "the texts are the simulator's own; as live, those of StartRecovery name no server and "
    "no job",
    "drs.LaunchConfiguration": "a job reads it with the launch template; when live DRS does is not established",
    "drs.lists": "the fault `stale` lags by the same seconds for every list of an account; how long live lists lag, "
    "and whether each by itself, is not established",
    "drs.StartRecovery": "the spread between servers is even and the same in each job; what DRS writes into its own "
    "version of a launch template, from which version and when, is assumed (knobs); it deletes none of its old ones; "
    "a launch whose previous instance EC2 does not terminate fails; profile, root device, boot mode and, for "
    "licences brought along, tenancy of an existing instance that a server is launched into are not looked at",
    "drs.DescribeJobLogItems": "no attemptCount and conversionProperties; SERVER_SKIPPED by the scenario only, "
    "JOB_CANCEL and NETWORK_RECOVERY_FAIL never",
    "drs.UpdateLaunchConfiguration": "right-sizing and copyPrivateIp are written at fixed intervals",
    "drs.PutLaunchAction": "actions run after the job's last server was launched and may outlast it, which is assumed; "
    "the value of a DYNAMIC parameter is a path into the description of the recovery instance; AWS's own actions are "
    "not listed",
    "drs.CreateExtendedSourceServer": "accounts of the scenario trust each other, and every other one trusts nobody",
    "drs.StartSourceNetworkRecovery": "a recovery makes VPC and subnets, and no stack; networks never fail",
    "ec2.StartInstances": "InsufficientInstanceCapacity is status 400, and 500 live; capacity is counted by type, not "
    "by zone, vCPUs are not told apart by family, and RunInstances of a caller is not limited",
    "ec2.StopInstances": "an instance is pending, stopping and shutting-down for fixed times",
    "drs.SourceServer": "an agent is last seen at each 20 seconds of the clock",
    "drs.NetworkInterfaceId": "a launch template that names an existing network interface, and so no subnet, fails in "
    "silence as an incomplete one; what live DRS does with it is not established",
    "ec2.LaunchTemplate": "only the types that moto knows exist, in every region",
    "iam.policies": "permissions boundaries, session policies, service control policies, resource policies and policy "
    "variables are not evaluated; identity policies and trust policies are",
    "iam.other_services": "calls of services other than DRS, EC2, SSM, IAM, S3, SNS and STS are authorised by their "
    "action alone, and EC2 calls that name no resource are",
    "iam.root": "credentials that IAM does not know may do everything, and assume every role that trusts their account",
    "aws.request_rates": "no call is throttled unless a fault says so; live APIs, StartInstances among them, are",
    "drs.missing_permissions": "every permission that a launch lacks shows as LAUNCH_FAILED after the conversion, also "
    "one that live DRS may need before it, and what a terminate lacks as CLEANUP_FAIL",
    "sts.identity_providers": "AssumeRoleWithWebIdentity and AssumeRoleWithSAML ask only whether the role exists",
}
