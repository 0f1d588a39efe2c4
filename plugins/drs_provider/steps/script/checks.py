"""Are the SSM documents of the scripts there, readable, of the right type, and given the parameters they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.readiness.documents import documents_of
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.permissions import DENIED
from drs_provider.readiness.side_by_side import Check, Look

if TYPE_CHECKING:
    from drs_provider.plan import Script

__all__ = ["check_document", "script_checks"]


def script_checks(look: Look) -> Iterator[Check]:
    """Yield a check of each document that scripts use in a target, those of rollbacks included.

    :param look: the plan, its run, and how to ask.
    """
    for name, uses in documents_of(look.plan, look.mode, look.waves, look.place).items():
        yield Check(f"document {name}", partial(check_document, look.clients, name, uses))


def check_document(clients: Clients, name: str, uses: Iterable[tuple[str, Script]]) -> list[Finding]:
    """The findings on one document (DescribeDocument), once for each script that uses it.

    :param clients: the clients.
    :param name: the document's name or ARN.
    :param uses: the (wave name, script) pairs that name it.
    :raises botocore.exceptions.ClientError: if the call fails for another reason than the document or its permissions.
    """
    try:
        document = clients.ssm.describe_document(Name=name)["Document"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "InvalidDocument":
            why = (
                "document-missing",
                f"{name} does not exist.",
                "Create it in the recovery region or correct the name.",
            )
        elif code in DENIED:
            why = (
                "document-unreadable",
                f"The caller may not read {name} ({code}).",
                "Allow ssm:DescribeDocument on it.",
            )
        else:
            raise
        return [_finding(why, wave, script) for wave, script in uses]
    return [_finding(why, wave, script) for wave, script in uses for why in _problems(name, document, script)]


def _problems(name: str, document: Mapping[str, Any], script: Script) -> list[tuple[str, str, str]]:
    problems = []
    if document.get("Status", "Active") != "Active":
        message = f"{name} is {document['Status']}, not Active{_because(document)}."
        problems.append(("document-unreadable", message, "Wait until it is active, or create it again."))
    wanted = "Automation" if script.automation else "Command"
    actual = document.get("DocumentType", wanted)
    if actual != wanted:
        message = f"{name} is of type {actual}; the script runs it as {wanted}."
        problems.append(("document-type", message, "Use `automation` for runbooks and `run_command` for commands."))
        return problems
    declared = {parameter["Name"]: parameter for parameter in document.get("Parameters") or ()}
    required = [key for key, parameter in declared.items() if "DefaultValue" not in parameter]
    missing = sorted(set(required) - set(script.parameters))
    unknown = sorted(set(script.parameters) - set(declared)) if declared else []
    for what, keys in (("wants", missing), ("does not know", unknown)):
        if keys:
            message = f"{name} {what} the parameter{'s' if len(keys) > 1 else ''} {', '.join(keys)}."
            problems.append(("document-parameters", message, f"Its parameters: {', '.join(declared)}."))
    return problems


def _because(document: Mapping[str, Any]) -> str:
    return f": {document['StatusInformation']}" if document.get("StatusInformation") else ""


def _finding(why: tuple[str, str, str], wave: str, script: Script) -> Finding:
    code, message, remedy = why
    return Finding.of(code, f"Script {script.name}: {message}", remedy, wave=wave)
