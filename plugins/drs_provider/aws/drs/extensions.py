"""Extended source servers: what another account, the staging account, replicates, and this one recovers.

An extension has an id, tags and launch settings of its own; its replication and its snapshots are those of the server
in the staging account. DRS knows one operation that makes one, CreateExtendedSourceServer, which has no client token.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drs_provider.aws.calls import run_blocking

if TYPE_CHECKING:
    from drs_provider.aws.drs.questions import Drs

__all__ = ["ExtensibleServer", "extend", "extensible_servers", "extension_error", "staging_accounts", "staging_arn"]

log = logging.getLogger(__name__)

_EXTENDED = ("EXTENDED", "EXTENSION_ERROR")


@dataclass(frozen=True)
class ExtensibleServer:
    """A server of a staging account that is not extended yet.

    :param arn: its ARN in the staging account.
    :param hostname: its host name; None where DRS does not tell.
    :param tags: its tags in the staging account.
    """

    arn: str
    hostname: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The staging account, 12 digits."""
        return self.arn.split(":")[4]

    @property
    def id(self) -> str:
        """Its id in the staging account; the extension has another."""
        return self.arn.rsplit("/", 1)[-1]

    def as_item(self) -> dict[str, Any]:
        """Return it in the shape of DescribeSourceServers, as far as a selection looks at it."""
        hints = {"hostname": self.hostname} if self.hostname else {}
        return {
            "sourceServerID": self.id,
            "tags": dict(self.tags),
            "sourceProperties": {"identificationHints": hints},
        }


def staging_arn(server: Mapping[str, Any]) -> str | None:
    """Return the ARN of the server that a source server extends; None where it is no extension.

    :param server: an item of DescribeSourceServers.
    """
    area = server.get("stagingArea") or {}
    return str(area.get("stagingSourceServerArn") or "") or None if area.get("status") in _EXTENDED else None


def extension_error(server: Mapping[str, Any]) -> str | None:
    """Return why a source server could not be extended; None where it was, or is no extension.

    :param server: an item of DescribeSourceServers.
    """
    area = server.get("stagingArea") or {}
    return str(area.get("errorMessage") or "no reason given") if area.get("status") == "EXTENSION_ERROR" else None


def staging_accounts(drs: Drs) -> list[str]:
    """Return the accounts of which servers are extended into this one already (ListStagingAccounts)."""
    listed = run_blocking(drs.calls().read_all("list_staging_accounts", "accounts"))
    return [str(one["accountID"]) for one in listed]


def extensible_servers(drs: Drs, account: str) -> list[ExtensibleServer]:
    """Return what a staging account has that is not extended into this one (ListExtensibleSourceServers).

    :param account: the staging account, 12 digits.
    :raises botocore.exceptions.ClientError: AccessDeniedException where it does not trust this account.
    """
    listed = run_blocking(drs.calls().read_all("list_extensible_source_servers", "items", stagingAccountID=account))
    return [ExtensibleServer(str(one["arn"]), one.get("hostname") or None, one.get("tags") or {}) for one in listed]


def extend(drs: Drs, server: ExtensibleServer) -> dict[str, Any]:
    """Extend a server into this account, once, with the tags that it has in the staging account.

    :param server: the server.
    :return: the extension, an item of DescribeSourceServers. :func:`extension_error` says whether DRS could do it.
    :raises botocore.exceptions.ClientError: DRS refuses, and has no extension of the server.
    """
    # Not at the top: a selection is resolved where nobody asks AWS.
    from botocore.exceptions import BotoCoreError, ClientError

    # Tags of AWS's own cannot be set by anybody else.
    tags = {key: value for key, value in server.tags.items() if not key.lower().startswith("aws:")}
    try:
        made = drs.client("drs").create_extended_source_server(sourceServerArn=server.arn, tags=tags)
    except (ClientError, BotoCoreError) as error:
        # It may be one's own call that was carried out and not answered, or somebody else's of this moment.
        if (found := _extension_of(server.arn, drs.source_servers())) is None:
            raise
        log.info("%s is extended already: %s", server.arn, error)
        return found
    return dict(made["sourceServer"])


def _extension_of(arn: str, servers: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    return next((one for one in servers if staging_arn(one) == arn), None)
