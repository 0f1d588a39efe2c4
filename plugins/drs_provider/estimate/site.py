"""What a plan meets: source servers, quotas and documents, of an account or of a scenario of the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.questions import Drs
from drs_provider.aws.quotas import Quotas
from drs_provider.aws.typical import SCRIPT, STEP
from drs_provider.durations import parse_seconds
from drs_provider.plan.syntax import syntax_problem
from drs_provider.plan.targets import simulated_accounts
from drs_provider.readiness.quotas import account_quotas
from drs_provider.readiness.timeouts import system_of

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["ScenarioUnreadable", "ServerFacts", "Site", "account_site", "scenario_site", "scenario_sites"]

_PHASES = ("snapshot", "preparation", "conversion", "launch", "cleanup", "boot")

PUBLISHED = Quotas()


class ScenarioUnreadable(ValueError):
    """A file is no scenario of the simulator; the message says where."""


@dataclass(frozen=True)
class ServerFacts:
    """What is known of a source server.

    :param system: ``linux`` or ``windows``.
    :param drilled: an instance of an earlier drill is still there, and is cleaned up first.
    :param phases: what phases take, in seconds, where a scenario says so.
    :param agent: seconds until the SSM agent of an instance is online, where a scenario says so.
    """

    system: str = "linux"
    drilled: bool = False
    phases: Mapping[str, float] = field(default_factory=dict)
    agent: float | None = None


@dataclass(frozen=True)
class Site:
    """An account and region, or a scenario of one.

    :param origin: what it is, for people.
    :param servers: items in the shape of DescribeSourceServers, as far as selections look at them.
    :param facts: by source server id.
    :param quotas: those in force.
    :param documents: what SSM documents take, in seconds, where a scenario says so.
    :param remarks: what could not be read, for people.
    :param spread: whether like servers of one job end apart, as live ones do; those of a scenario say it themselves.
    :param place: the account and region, where they are known: sites of the same one share its quotas.
    """

    origin: str
    servers: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, ServerFacts]
    quotas: Quotas = PUBLISHED
    documents: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    spread: bool = False
    place: tuple[str, str] | None = None


def account_site(clients: Clients, account: str | None = None) -> Site:
    """Read an account (DescribeSourceServers, ListServiceQuotas); changes nothing.

    :param clients: clients of the recovery region.
    :param account: its id, where it is known.
    :raises botocore.exceptions.ClientError: the servers cannot be read.
    """
    servers = Drs(clients).source_servers()
    quotas, findings = account_quotas(clients)
    facts = {str(server["sourceServerID"]): _facts_of(server) for server in servers}
    region = str(clients.drs.meta.region_name)
    whose = f"account {account}" if account else "the account"
    origin = f"{len(servers)} source servers of {whose} in {region}"
    remarks = tuple(finding.message for finding in findings)
    place = (account, region) if account else None
    return Site(origin, tuple(servers), facts, quotas, remarks=remarks, spread=True, place=place)


def _facts_of(server: Mapping[str, Any]) -> ServerFacts:
    last = ((server.get("lifeCycle") or {}).get("lastLaunch") or {}).get("initiated") or {}
    drilled = bool(server.get("recoveryInstanceId")) and last.get("type") == "DRILL"
    return ServerFacts(system_of(server), drilled)


def scenario_site(path: Path, plan: RecoveryPlan) -> Site:
    """Read a scenario file for a plan that is launched in one account and region.

    :param path: the file; see ``drs-sim scenario``.
    :param plan: the plan.
    :raises ScenarioUnreadable: the file cannot be read, or holds something else.
    """
    return scenario_sites(path, plan)[plan.targets_of(plan.waves)[0].key]


def scenario_sites(path: Path, plan: RecoveryPlan) -> dict[tuple[str, str], Site]:
    """Read a scenario file as far as an estimate needs it; the simulator itself need not be installed.

    :param path: the file; see ``drs-sim scenario``.
    :param plan: the plan, whose targets say which accounts and regions of the scenario it meets.
    :return: what each target that waves are launched in meets, by connection and region.
    :raises ScenarioUnreadable: the file cannot be read, or holds something else.
    """
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioUnreadable(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        line, column, message = syntax_problem(error, text)
        raise ScenarioUnreadable(f"{path}:{line + 1}:{column + 1}: {message}") from error
    if not isinstance(data, dict):
        raise ScenarioUnreadable(f"{path}: expected a mapping with keys such as servers")
    scenario = _Scenario(str(path), data, plan)
    return {place.key: scenario.site(place) for place in plan.targets_of(plan.waves)}


@dataclass(frozen=True)
class _Scenario:
    file: str
    data: Mapping[str, Any]
    plan: RecoveryPlan

    def site(self, target: NamedTarget) -> Site:
        account, places = self._places(target)
        servers = [server for place in places for server in self._list(place, "servers")]
        if not servers:
            whose = f"{target}" if self.plan.several_targets else f"{target.region}, the plan's region"
            raise ScenarioUnreadable(f"{self.file}: has no servers in {whose}")
        default = self._phases(self.data, "the scenario")
        agent = self._agent(self.data)
        facts: dict[str, ServerFacts] = {}
        items = []
        for number, server in enumerate(servers):
            identity = server.get("id")
            if not isinstance(identity, str):
                raise ScenarioUnreadable(f"{self.file}: servers[{number}].id: expected a source server id")
            own_agent = self._agent(server)
            facts[identity] = ServerFacts(
                system="windows" if server.get("os") == "windows" else "linux",
                drilled=server.get("launched") == "drill",
                phases={**default, **self._phases(server, identity)},
                agent=agent if own_agent is None else own_agent,
            )
            hints = {key: server[key] for key in ("hostname", "fqdn") if server.get(key)}
            items.append(
                {
                    "sourceServerID": identity,
                    "tags": self._mapping(server, "tags"),
                    "sourceProperties": {"identificationHints": hints},
                }
            )
        quotas = self._quotas([place.get("quotas") or {} for place in places])
        where = f" in {target}" if self.plan.several_targets else ""
        return Site(
            f"{len(items)} source servers of {self.file}{where}",
            tuple(items),
            facts,
            quotas,
            self._documents(),
            place=(account, target.region),
        )

    def _places(self, target: NamedTarget) -> tuple[str, list[Mapping[str, Any]]]:
        """Return the account that a target's connection leads to, and what the scenario has of it in the region."""
        own, region = str(self.data.get("account", "123456789012")), self.data.get("region", "us-west-2")
        every = [self.data, *self._list(self.data, "accounts")]
        here = [each for each in every if each.get("region", region) == target.region]
        stated = self.plan.account_of(target)
        account = stated or simulated_accounts(self.plan).get(target.aws_conn_id, own)
        exact = [each for each in here if str(each.get("account", own)) == account]
        # Where the plan does not say which account that is, whichever has servers there will do.
        return account, exact if stated or any(each.get("servers") for each in exact) else here

    def _list(self, part: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        value = part.get(key) or []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise ScenarioUnreadable(f"{self.file}: {key}: expected a list of mappings")
        return value

    def _mapping(self, part: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = part.get(key) or {}
        if not isinstance(value, dict):
            raise ScenarioUnreadable(f"{self.file}: {key}: expected a mapping")
        return value

    def _phases(self, part: Mapping[str, Any], whose: str) -> dict[str, float]:
        given = self._mapping(part, "durations")
        return {
            key: self._seconds(given[key], f"durations.{key} of {whose}")
            for key in _PHASES
            if given.get(key) is not None
        }

    def _agent(self, part: Mapping[str, Any]) -> float | None:
        value = self._mapping(part, "agent").get("online_after")
        return None if value is None else self._seconds(value, "agent.online_after")

    def _documents(self) -> dict[str, float]:
        found = {}
        for name, document in self._mapping(self.data, "documents").items():
            part = self._mapping({name: document}, name)
            steps = [
                self._seconds(step.get("duration", STEP), f"a step of {name}") for step in self._list(part, "steps")
            ]
            if steps or part.get("duration") is not None or not name.startswith("AWS-"):
                found[name] = sum(steps) or self._seconds(part.get("duration", SCRIPT), f"documents.{name}.duration")
        return found

    def _quotas(self, given: list[Any]) -> Quotas:
        values = {
            "servers_per_job": ("servers_per_job", "L-B827C881"),
            "jobs": ("concurrent_jobs", "L-D88FAC3A"),
            "servers_in_jobs": ("servers_in_jobs", "L-05AFA8C6"),
        }
        found = {
            key: int(quotas[name])
            for key, names in values.items()
            for quotas in given
            for name in names
            if isinstance(quotas, dict) and name in quotas
        }
        return Quotas(**found)

    def _seconds(self, value: Any, what: str) -> float:
        """A duration of a scenario: seconds, ``90s``, or ISO 8601."""
        try:
            return parse_seconds(value)
        except ValueError as error:
            raise ScenarioUnreadable(f"{self.file}: {what}: {error}") from error
