"""The errors of SSM that moto does not have, with the messages that AWS sends."""

from __future__ import annotations

from moto.ssm.exceptions import SSMException

__all__ = [
    "AutomationDefinitionNotFound",
    "AutomationDefinitionVersionNotFound",
    "AutomationExecutionNotFound",
    "DuplicateInstanceId",
    "IdempotentParameterMismatch",
    "InvalidAutomationExecutionParameters",
    "InvalidAutomationSignal",
    "InvalidAutomationStatusUpdate",
    "InvalidCommandId",
    "InvalidInstanceId",
    "InvalidInstanceInformationFilterValue",
    "InvalidNextToken",
    "InvalidParameters",
    "InvalidPluginName",
    "InvalidTarget",
    "InvocationDoesNotExist",
    "UnsupportedPlatformType",
]


class InvalidInstanceId(SSMException):
    """An instance is unknown, or its agent has not come online."""

    code = "InvalidInstanceId"
    message = "Instances [[{instances}]] not in a valid state for account {account}"


class DuplicateInstanceId(SSMException):
    """One instance stands twice in a request."""

    code = "DuplicateInstanceId"
    message = "You cannot specify an instance ID in more than one association."


class UnsupportedPlatformType(SSMException):
    """A document does not run on an instance's operating system."""

    code = "UnsupportedPlatformType"
    message = "The document {document} does not support the platform of {instances}"


class InvalidParameters(SSMException):
    """A command's parameters are not those of its document."""

    code = "InvalidParameters"


class InvalidCommandId(SSMException):
    """No command has this id."""

    code = "InvalidCommandId"
    message = "The command ID is not valid"


class InvocationDoesNotExist(SSMException):
    """A command has no invocation on this instance, or none yet."""

    code = "InvocationDoesNotExist"
    message = ""


class InvalidPluginName(SSMException):
    """A document has no plugin of this name."""

    code = "InvalidPluginName"
    message = "The plugin name is not valid"


class InvalidNextToken(SSMException):
    """A page token is none that was given out."""

    code = "InvalidNextToken"
    message = "The specified token is not valid"


class InvalidInstanceInformationFilterValue(SSMException):
    """A filter of DescribeInstanceInformation has an impossible value."""

    code = "InvalidInstanceInformationFilterValue"


class AutomationDefinitionNotFound(SSMException):
    """No runbook has this name."""

    code = "AutomationDefinitionNotFoundException"
    message = "Automation document {name} not found"


class AutomationDefinitionVersionNotFound(SSMException):
    """The runbook has no such version."""

    code = "AutomationDefinitionVersionNotFoundException"
    message = "Automation document {name} has no version {version}"


class InvalidAutomationExecutionParameters(SSMException):
    """The parameters are not those of the runbook."""

    code = "InvalidAutomationExecutionParametersException"


class InvalidTarget(SSMException):
    """The targets of an automation cannot be resolved."""

    code = "InvalidTarget"


class IdempotentParameterMismatch(SSMException):
    """A client token came back with other parameters."""

    code = "IdempotentParameterMismatch"
    message = "The client token {token} was used with other parameters"


class AutomationExecutionNotFound(SSMException):
    """No automation execution has this id."""

    code = "AutomationExecutionNotFoundException"
    message = "Automation execution {execution} not found"


class InvalidAutomationStatusUpdate(SSMException):
    """An automation that has ended cannot be stopped."""

    code = "InvalidAutomationStatusUpdateException"
    message = "Automation execution {execution} has ended with status {status}"


class InvalidAutomationSignal(SSMException):
    """An automation does not wait for this signal."""

    code = "InvalidAutomationSignalException"
    message = "The signal {signal} is not valid for automation execution {execution}"
