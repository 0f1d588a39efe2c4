"""What a selection that matches no source server was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drs_provider.aws.drs.extensions import staging_arn
from drs_provider.plan.nearest import nearest_name

if TYPE_CHECKING:
    from drs_provider.plan import ServerSelector

__all__ = ["near_miss"]

_MOST_COMPARED = 2000
"""difflib is slow: of more names than that none is offered."""

Server = Mapping[str, Any]


def near_miss(selector: ServerSelector, servers: Sequence[Server]) -> str:
    """Return ``"; did you mean hostname web01 (s-…)?"`` to append to a message; empty where nothing is near.

    :param selector: a selection that matches none of the servers.
    :param servers: items of DescribeSourceServers.
    """
    if selector.tags is not None:
        return _tags(selector.tags, servers)
    wanted = selector.name or selector.hostname or selector.instance
    if wanted is None:
        return _id(str(selector.id), servers)
    names: dict[str, str] = {}
    for server in servers:
        hints = (server.get("sourceProperties") or {}).get("identificationHints") or {}
        known: Iterable[Any] = (
            [hints.get("awsInstanceID")]
            if selector.instance
            else [
                (server.get("tags") or {}).get("Name") if selector.name else None,
                hints.get("fqdn"),
                hints.get("hostname"),
                # The short name, where only the full one is known.
                str(hints.get("hostname") or hints.get("fqdn") or "").partition(".")[0] if selector.name else None,
            ]
        )
        names |= {str(name): str(server["sourceServerID"]) for name in known if name}
    key = "instance" if selector.instance else "name" if selector.name else "hostname"
    for server in servers if selector.hostname else ():
        # What is no host name may be the short one of a full name, or a Name tag.
        hints = (server.get("sourceProperties") or {}).get("identificationHints") or {}
        hosts = [str(hints.get(one) or "") for one in ("hostname", "fqdn")]
        tag = str((server.get("tags") or {}).get("Name") or "")
        if wanted.casefold() in {tag.casefold(), *(host.partition(".")[0].casefold() for host in hosts)}:
            return f"; did you mean name {wanted} ({server['sourceServerID']})?"
    found = nearest_name(wanted, names) if len(names) <= _MOST_COMPARED else None
    return f"; did you mean {key} {found} ({names[found]})?" if found else ""


def _id(wanted: str, servers: Sequence[Server]) -> str:
    """An id has nothing near it but for the case of its letters; a copied id of another region is no near miss.

    The id that an extension has in its staging account is one: here it has another.
    """
    for server in servers:
        arn = staging_arn(server) or ""
        if arn.endswith(f"/{wanted}"):
            return f"; that is its id in account {arn.split(':')[4]}, did you mean id {server['sourceServerID']}?"
    same = [server["sourceServerID"] for server in servers if str(server["sourceServerID"]).lower() == wanted.lower()]
    return f"; did you mean id {same[0]}?" if same else ""


def _tags(wanted: Mapping[str, str], servers: Sequence[Server]) -> str:
    """Say which tag of several no server has, or all but one have together, and the nearest that there is."""
    every = [dict(server.get("tags") or {}) for server in servers]
    near = []
    for key, value in wanted.items():
        if any(tags.get(key) == value for tags in every):
            continue
        values = {str(tags[key]) for tags in every if key in tags}
        if values:
            other = nearest_name(value, values) if len(values) <= _MOST_COMPARED else None
            near.append(f"no server has {key}={value}" + (f"; did you mean {key}={other}?" if other else ""))
            continue
        keys = {str(one) for tags in every for one in tags}
        named = nearest_name(key, keys) if len(keys) <= _MOST_COMPARED else None
        near.append(
            f"no server has a tag {key}" + (f"; did you mean {named}={_value(named, value, every)}?" if named else "")
        )
    if not near and len(wanted) > 1:
        near.append("each tag is there, and no server has all of them")
    return f": {'; '.join(near)}".removesuffix("?") + ("?" if near[-1].endswith("?") else ".") if near else ""


def _value(key: str, value: str, every: Sequence[Mapping[str, str]]) -> str:
    values = {str(tags[key]) for tags in every if key in tags}
    return value if value in values else nearest_name(value, values) or value
