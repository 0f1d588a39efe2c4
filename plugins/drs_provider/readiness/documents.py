"""Are the SSM documents of the scripts there, readable, of the right type, and given the parameters they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.readiness.actions import scripts_of
from drs_provider.readiness.findings import Finding, Mode
from drs_provider.readiness.permissions import DENIED

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script
    from drs_provider.plan.targets import NamedTarget

__all__ = ["check_document", "documents_of"]


def documents_of(
    plan: RecoveryPlan, mode: Mode, waves: Iterable[str], place: NamedTarget | None = None
) -> dict[str, list[tuple[str, Script]]]:
    """The documents that a run may use: document name -> the (wave name, script) pairs that name it.

    :param plan: the plan.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run.
    :param place: only those that scripts use in this target; None: in all.
    """
    wanted = set(waves)
    found: dict[str, list[tuple[str, Script]]] = {}
    for wave in plan.waves:
        if wave.name in wanted:
            for script in scripts_of(wave, mode, unwinds=plan.recovery.on_failure == "rollback"):
                if place is None or plan.target_of(wave, script).key == place.key:
                    found.setdefault(script.automation or script.run_command or "", []).append((wave.name, script))
    return found


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
