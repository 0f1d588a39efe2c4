"""The SSM of a simulation: moto's own for parameters and documents, the simulator's for what runs on instances."""

from __future__ import annotations

from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.ssm.exceptions import InvalidDocumentVersion
from moto.ssm.models import Document, Documents, SimpleSystemManagerBackend

from drs_provider.simulator import runtime
from drs_provider.simulator.documents import DocumentSpec
from drs_provider.simulator.ssm.agents import Fleet
from drs_provider.simulator.ssm.automation import Automation
from drs_provider.simulator.ssm.exceptions import AutomationDefinitionVersionNotFound
from drs_provider.simulator.ssm.inventory import Inventory
from drs_provider.simulator.ssm.library import built_in
from drs_provider.simulator.ssm.run_command import RunCommand

__all__ = ["SsmBackend", "ssm_backends"]


class SsmBackend(SimpleSystemManagerBackend):
    """SSM in one account and region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.fleet = Fleet(account_id, region_name)
        self.run_command = RunCommand(self)
        self.automation = Automation(self)
        self.inventory = Inventory(self)
        simulation = runtime.current()
        self._documents.update(built_in(account_id, simulation.scenario.documents if simulation else {}))

    def create_document(self, *args: Any, **fields: Any) -> Documents:
        """As moto does, with platform types that the service model knows."""
        documents = super().create_document(*args, **fields)
        documents.get_default_version().platform_types = ["Linux", "Windows", "MacOS"]
        return documents

    def document_for(self, request: dict[str, Any], kind: str, missing: type[ServiceException]) -> Document:
        """The document that a request names by name or ARN, with its version.

        :raises missing: there is none, or it is not of this kind (`Command` or `Automation`).
        :raises InvalidDocumentVersion: a command document has no such version.
        :raises AutomationDefinitionVersionNotFound: a runbook has no such version.
        """
        name = str(request["DocumentName"])
        version = request.get("DocumentVersion")
        documents = self._documents.get(name.rpartition("document/")[2])
        document = documents.get_default_version() if documents else None
        if documents is None or document is None or not self._is(document, kind):
            raise _missing(missing, name, kind)
        found = documents.find(None if version == "$DEFAULT" else version, strict=False)
        if found is None:
            if kind == "Automation":
                raise AutomationDefinitionVersionNotFound(name=name, version=version)
            raise InvalidDocumentVersion(f"Document {name} has no version {version}")
        return found

    def spec_of(self, document: Document) -> DocumentSpec | None:
        """What the scenario says of a document, if anything."""
        return runtime.require().scenario.documents.get(document.name)

    def _is(self, document: Document, kind: str) -> bool:
        spec = self.spec_of(document)
        if spec is None or document.owner == "Amazon":
            return bool(document.document_type == kind)
        return spec.is_command if kind == "Command" else spec.is_automation


def _missing(error: type[ServiceException], name: str, kind: str) -> ServiceException:
    if "{name}" in error.message:
        return error(name=name)
    return error(f"Document {name} does not exist, or is no {kind} document")


ssm_backends = BackendDict(SsmBackend, "ssm")
