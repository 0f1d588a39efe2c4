"""What scripts may do in AWS: read documents, run commands and automations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.plan.statements import OWN_ROLES, Grant

if TYPE_CHECKING:
    from drs_provider.plan.waves import Script

__all__ = ["GRANTS", "script_needs"]

GRANTS: tuple[Grant, ...] = (
    Grant(
        "ReadDocuments",
        "scripts",
        ("ssm:DescribeDocument",),
        "Preflight looks at every document that a script names.",
        ("arn:aws:ssm:*:*:document/*",),
    ),
    Grant(
        "RunCommands",
        "run_command",
        ("ssm:SendCommand",),
        "Runs Command documents. Name your documents and tag your instances here to narrow it.",
        ("arn:aws:ssm:*:*:document/*", "arn:aws:ec2:*:*:instance/*", "arn:aws:ssm:*:*:managed-instance/*"),
    ),
    Grant(
        "WatchCommands",
        "run_command",
        (
            "ssm:CancelCommand",
            "ssm:DescribeInstanceInformation",
            "ssm:GetCommandInvocation",
            "ssm:ListCommandInvocations",
            "ssm:ListCommands",
        ),
        "Waits for commands and for the agent, collects exit codes, and finds a command that an earlier try sent.",
    ),
    Grant(
        "RunAutomations",
        "automation",
        ("ssm:StartAutomationExecution",),
        "Runs Automation runbooks.",
        ("arn:aws:ssm:*:*:automation-definition/*",),
    ),
    Grant(
        "WatchAutomations",
        "automation",
        (
            "ssm:DescribeAutomationExecutions",
            "ssm:DescribeAutomationStepExecutions",
            "ssm:GetAutomationExecution",
            "ssm:StopAutomationExecution",
        ),
        "Waits for runbooks, collects their outputs, and finds one that an earlier try started.",
    ),
    Grant(
        "PassAutomationRoles",
        "automation_role",
        ("iam:PassRole",),
        "Roles that runbooks run with (AutomationAssumeRole), kept under the path /drs-plan/.",
        (OWN_ROLES,),
        {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
    ),
)


def script_needs(script: Script, mode: str) -> set[str]:
    """Return what a script needs permissions for in a run of a mode; nothing where it does not run in it."""
    if mode not in script.modes:
        return set()
    needs = {"scripts", "automation" if script.automation else "run_command"}
    return needs | ({"automation_role"} if script.in_mode(mode).parameters.get("AutomationAssumeRole") else set())
