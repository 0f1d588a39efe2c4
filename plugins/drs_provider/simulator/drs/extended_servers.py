"""Extended source servers: one account recovers what another, the staging account, replicates in the same region."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.exceptions import AccessDenied, NotFound, QuotaExceeded, Validation
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["ExtendedServers"]

#: Source servers of a recovery account.
_MOST = 4000


class ExtendedServers(Component):
    """What a recovery account does with the servers of staging accounts."""

    def list_staging_accounts(self, request: Request) -> dict[str, Any]:
        """ListStagingAccounts: those of the extended source servers that there are."""
        accounts = sorted(
            {server.staging.account for server in self.backend.servers.values() if server.staging is not None}
        )
        return self.backend.paged(
            request, accounts, lambda account: account, lambda account: {"accountID": account}, "accounts", 50
        )

    def list_extensible_source_servers(self, request: Request) -> dict[str, Any]:
        """ListExtensibleSourceServers: what is not extended into this account yet, and is no extension itself."""
        staging = self._staging(request["stagingAccountID"])
        here = {server.staging.arn for server in self.backend.servers.values() if server.staging is not None}
        found = [one for one in staging.servers.values() if one.staging is None and one.arn not in here]
        return self.backend.paged(
            request,
            found,
            lambda one: one.id,
            lambda one: {"hostname": one.spec.hostname, "arn": one.arn, "tags": dict(one.tags)},
            longest=300,
        )

    def create_extended_source_server(self, request: Request) -> dict[str, Any]:
        """CreateExtendedSourceServer: a server here that shows and launches what the other account replicates."""
        arn = request["sourceServerArn"]
        region, account = arn.split(":")[3:5]
        staging = self._staging(account)
        original = staging.servers.get(arn.rsplit("/", 1)[1]) if region == self.backend.region_name else None
        if original is None:
            raise NotFound("SourceServer", arn)
        if original.staging is not None:
            raise Validation(f"{arn} is an extended source server itself", reason="other")
        if any(server.staging is original for server in self.backend.servers.values()):
            raise Validation(f"{arn} is extended into this account already", reason="other")
        if len(self.backend.servers) >= _MOST:
            raise QuotaExceeded(f"Maximum number of source servers ({_MOST}) exceeded", quota_code="")
        return {"sourceServer": self._extend(original, request.get("tags") or {}).describe(self.backend.clock.now())}

    def _extend(self, original: SourceServer, tags: dict[str, str]) -> SourceServer:
        changes = {"id": f"s-{uuid.uuid4().hex[:17]}", "tags": dict(tags), "launched": None}
        spec = original.spec.model_copy(update=changes)
        server = self.backend.add_server(runtime.require(), spec)
        self.backend.configuration_templates.begin_from_template(server)
        server.staging = original
        server.replication, server.snapshots = original.replication, original.snapshots
        return server

    def _staging(self, account: str) -> DrsBackend:
        """The staging account; another than those of the scenario trusts nobody."""
        sites = {(known, region) for known, region, _ in runtime.require().scenario.sites()}
        if account == self.backend.account_id or (account, self.backend.region_name) not in sites:
            raise AccessDenied(f"Account {account} is no trusted staging account of {self.backend.account_id}")
        return self.backend.peer(account, self.backend.region_name)
