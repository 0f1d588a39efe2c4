"""Plans of the DRS orchestration solution: DynamoDB items and export files, in their early and their late shape.

Early items spell their keys ``PlanId``, late ones ``planId``; an export file holds ``protectionGroups`` and
``recoveryPlans``, with its schemaVersion at the root, under ``metadata``, or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drs_provider.durations import read_loosely
from drs_provider.importers.fields import Fields
from drs_provider.importers.orchestrator_groups import Groups
from drs_provider.importers.report import ImportReport
from drs_provider.importers.source_plan import SourcePlan, SourceSelector, SourceWave
from drs_provider.importers.wave_numbers import Dependency, resolve_dependencies

__all__ = ["OrchestratorOptions", "read_orchestrator"]

_MOMENTS = ("createdDate", "createdAt", "lastModifiedDate", "lastModified", "updatedDate", "updatedAt", "modifiedAt")
_SEQUENTIAL = "DRS launches the servers of a wave in one job, side by side"


_WHEN_IT_RAN = frozenset({"jobid", "drsjobid", "startedat", "starttime", "endedat", "endtime", "completedat"})
"""Keys, in small letters, that a wave has only in the record of a run."""


@dataclass(frozen=True)
class OrchestratorOptions:
    """What a person decides for the source.

    :param wave_base: 0 or 1: how a number that names a wave, and is no wave's id, is counted.
    :param region: the recovery region of groups that do not say theirs.
    :param in_order: waves of a plan that declares no dependency run one after another.
    """

    wave_base: int | None = None
    region: str | None = None
    in_order: bool = False


def read_orchestrator(
    items: Iterable[tuple[str, dict[str, Any]]], report: ImportReport, options: OrchestratorOptions
) -> list[SourcePlan]:
    """Read the plans of items and export files.

    :param items: objects with their JSON paths; a group may stand in another file than its plan.
    :param report: takes what was decided and left out, and what is wrong.
    :return: the plans; incomplete where the report has problems.
    """
    groups = Groups(report, options.region)
    plans: list[tuple[Fields, str]] = []
    for where, item in items:
        fields = Fields(item, where, report, any_case=True)
        if record := _run_record(fields):
            report.refuse(where, f"is a record of a run, not a plan ({', '.join(record)}); import the plan that it ran")
        elif fields.has("waves") and not fields.has("recoveryPlans"):
            for group in fields.parts("protectionGroups"):
                groups.add(group)
            plans.append((fields, "the DRS orchestration solution"))
        elif fields.has("recoveryPlans") or fields.has("protectionGroups"):
            origin = _export_origin(fields)
            for group in fields.parts("protectionGroups"):
                groups.add(group)
            plans += [(plan, origin) for plan in fields.parts("recoveryPlans")]
            fields.leave_out_rest()
        elif fields.has("groupId") or fields.has("groupName"):
            groups.add(fields)
        else:
            report.refuse(where, "is neither a plan (waves), a group (groupId) nor an export (recoveryPlans)")
    if not plans and not report.problems:
        report.refuse("", "there is no plan: expected recoveryPlans, or an item with waves")
    read = [_Plan(fields, origin, groups, report, options).read() for fields, origin in plans]
    groups.leave_out_unused()
    return read


def _run_record(fields: Fields) -> list[str]:
    """Return the keys by which an item is the record of a run: it holds the waves as far as they came, and no order."""
    own = [key for key in ("executionId", "executionArn", "executionType", "totalWaves") if fields.has(key)]
    waves = fields.raw("waves")[1]
    of_waves = {
        key.lower(): key
        for wave in (waves if isinstance(waves, list) else ())
        if isinstance(wave, dict)
        for key in wave
    }
    ran = [key for low, key in of_waves.items() if low in _WHEN_IT_RAN]
    if not own and not ran:
        return []
    return [*own, *ran, *(["status"] if fields.has("status") or "status" in of_waves else [])]


def _export_origin(fields: Fields) -> str:
    """What the export says of itself; schemaVersion and exportedAt stand at the root or under ``metadata``."""
    about = fields.part("metadata")
    places = [place for place in (about, fields) if place is not None]
    version = next(filter(None, [place.text("schemaVersion") for place in places]), None)
    moment = next(filter(None, [place.text("exportedAt") for place in places]), None)
    for place in places:
        place.ignore("sourceRegion", "exportedBy", "sourceEnvironment")
    if about is not None:
        about.leave_out_rest()
    origin = "an export of the DRS orchestration solution"
    if moment is not None:
        try:
            # Some exports end in +00:00Z, two time zones where one was meant.
            told = moment.removesuffix("Z") if "+" in moment[10:] else moment.replace("Z", "+00:00")
            origin += f" of {datetime.fromisoformat(told).isoformat()}"
        except ValueError:
            fields.report.leave_out(fields.path("exportedAt"), f"{moment!r} is no time such as 2026-03-01T10:00:00Z")
    return f"{origin}, schema {version}" if version else origin


def _order(wave: Fields) -> float:
    """Where a wave stands in the order of its plan, for the places that numbers name."""
    number = str(wave.raw("waveNumber")[1])
    order = wave.number("executionOrder")
    if order is not None:
        return order
    return float(number) if number.isdecimal() else 0.0


@dataclass
class _Plan:
    """Reads one plan."""

    fields: Fields
    origin: str
    groups: Groups
    report: ImportReport
    options: OrchestratorOptions
    places: dict[str, set[tuple[str | None, str | None]]] = field(default_factory=dict)
    """The accounts and regions of each wave's groups, by the wave's key."""

    def read(self) -> SourcePlan:
        fields = self.fields
        name = fields.text("planName", "name") or fields.text("planId")
        if name is None:
            self.report.refuse(fields.path("planName"), "is missing; expected the plan's name")
        revision = fields.text("version")
        plan = SourcePlan(
            name=name or "plan",
            where=fields.where,
            origin=f'Imported from {self.origin}: "{name}"{f", version {revision}" if revision else ""}.',
            region="",
            description=fields.text("description") or "",
            owner=fields.text("owner"),
        )
        fields.ignore("planId", "status", *_MOMENTS)
        plan.rto, plan.rpo = self._objective(plan, "RTO"), self._objective(plan, "RPO")
        waves = fields.parts("waves")
        if not waves:
            self.report.refuse(fields.path("waves"), "has no wave; expected at least one")
        waves.sort(key=_order)
        plan.waves = [self._wave(plan, wave, number) for number, wave in enumerate(waves)]
        self._connect(plan, waves)
        for wave in waves:
            wave.leave_out_rest()
        self._targets(plan)
        self._outside(plan)
        fields.leave_out_rest()
        return plan

    def _objective(self, plan: SourcePlan, key: str) -> Any:
        where, value = self.fields.raw(key)
        if value in (None, ""):
            return None
        found = read_loosely(value) if isinstance(value, str) else None
        if found is None:
            text = self.report.leave_out(
                where, f"{value!r} has no unit: write it into objectives yourself, as 30m or 4h"
            )
            plan.remark("", f"{key} {text}.")
        return found

    def _wave(self, plan: SourcePlan, fields: Fields, number: int) -> SourceWave:
        name = fields.text("waveName", "name") or f"wave {number + 1}"
        wave = SourceWave(
            key=str(number),
            name=name,
            where=fields.where,
            description=fields.text("waveDescription", "description") or "",
        )
        kind = fields.text("executionType")
        if kind is not None and kind.casefold() == "sequential":
            wave.remark("servers", self.report.leave_out(fields.path("executionType"), f"{kind}: {_SEQUENTIAL}"))
        if fields.flag("pauseBeforeWave"):
            wave.approval = f"Paused before {name}. Go on?"[:1000]
            said = self.report.decide(fields.path("pauseBeforeWave"), "a pause before the wave is an approval here")
            wave.remark("approval", f"{said}: anyone who may edit the run answers it.")
        wave.servers = self._servers(plan, wave, fields)
        return wave

    def _servers(self, plan: SourcePlan, wave: SourceWave, fields: Fields) -> list[SourceSelector]:
        """The servers that the wave names; none means all of its groups."""
        servers = dict.fromkeys(server for _, server in fields.texts("serverIds"))
        used = self.groups.of_wave(fields, whole=not servers)
        self.places[wave.key] = {(group.account, group.region) for group in used}
        if servers:
            named = ", ".join(f'"{group.name}"' for group in used)
            if named:
                wave.remark("servers", f"Servers of the group {named} that the wave names one by one.")
            return [SourceSelector(id=server) for server in servers]
        if not used:
            self.report.refuse(
                fields.path("protectionGroupId"), "is missing, and there are no serverIds; expected either"
            )
        for group in used:
            plan.groups[group.where] = group
        if used:
            said = self.report.decide(fields.path("serverIds"), "names no server: the wave has the whole group")
            wave.remark("servers", f"The source {said}.")
        return [SourceSelector(group=group.where) for group in used]

    def _connect(self, plan: SourcePlan, waves: list[Fields]) -> None:
        """Put the dependencies on the waves."""
        ids = [fields.text("waveId", "waveNumber") for fields in waves]
        for number, identity in enumerate(ids):
            if identity is not None and identity in ids[:number]:
                self.report.refuse(waves[number].path("waveId"), f"{identity} is the id of another wave, too")
        dependencies = [
            Dependency(number, named, where)
            for number, fields in enumerate(waves)
            for where, named in self._named(fields)
        ]
        found = resolve_dependencies(
            ids,
            [wave.name for wave in plan.waves],
            dependencies,
            self.report,
            where=self.fields.path("waves"),
            base=self.options.wave_base,
        )
        decided = {note.where: note.what for note in self.report.decided}
        for each, place in found.items():
            wave, key = plan.waves[each.wave], plan.waves[place].key
            if key not in wave.depends_on:
                wave.depends_on.append(key)
            if each.where in decided:
                wave.remark("depends_on", decided[each.where])
        if not dependencies and len(waves) > 1:
            self._undeclared(plan)

    def _named(self, fields: Fields) -> list[tuple[str, str]]:
        found = []
        for part in fields.parts("dependencies"):
            named = part.text("dependsOnWaveId", "waveId", "dependsOnWaveNumber", required="the id of a wave")
            if named is not None:
                found.append((part.path("dependsOnWaveId"), named))
            part.leave_out_rest()
        for where, item in fields.items("dependsOnWaves", "dependsOn"):
            if isinstance(item, (str, int, float)) and not isinstance(item, bool):
                found.append((where, f"{item:g}" if isinstance(item, float) else str(item).strip()))
            else:
                self.report.refuse(where, "expected the number or the id of a wave")
        return found

    def _undeclared(self, plan: SourcePlan) -> None:
        where = self.fields.path("waves")
        if self.options.in_order:
            for before, wave in zip(plan.waves, plan.waves[1:], strict=False):
                wave.depends_on = [before.key]
            said = "no wave declares a dependency: each waits for the one before, as --in-order says"
        else:
            said = (
                "no wave declares a dependency: all of them start at once. The source ran its waves in the order of "
                "the list; import again with --in-order if that order matters"
            )
        plan.remark("waves", self.report.decide(where, said) + ".")

    def _targets(self, plan: SourcePlan) -> None:
        """Where the waves are launched: their groups' regions and accounts."""
        fields = self.fields
        usual = fields.text("region") or self.options.region
        waves = {wave.key: sorted(self._places_of(wave.key, usual)) for wave in plan.waves}
        for wave in plan.waves:
            if len(waves[wave.key]) > 1:
                named = " and ".join(" ".join(filter(None, place)) for place in waves[wave.key])
                said = f"its groups are in {named}; a wave is launched in one account and region"
                self.report.refuse(wave.where, said)
        places = list(dict.fromkeys(place for found in waves.values() for place in found))
        accounts = {account for account, _ in places}
        plan.region = places[0][1] if places else usual or ""
        if not all(region for _, region in places) or not plan.region:
            self.report.refuse(
                fields.where, "no group says the plan's recovery region; expected Region in its groups, or --region"
            )
        if len(places) < 2:
            if accounts - {""}:
                why = f"account {places[0][0]}: write it into account, and name its connection in aws_conn_id"
                text = self.report.leave_out(fields.where, why)
                plan.remark("target", f"Not carried over: {text}.")
            return
        names = {place: "-".join(filter(None, (place[0] if len(accounts) > 1 else "", place[1]))) for place in places}
        for (account, region), name in names.items():
            plan.targets[name] = {"region": region}
            if account:
                plan.targets[name] |= {"aws_conn_id": f"aws_{account}", "account": account}
        for wave in plan.waves:
            if waves[wave.key]:
                wave.target = names[waves[wave.key][0]]
        said = "its groups are of several accounts or regions: each is a target here"
        for account in sorted(filter(None, accounts)):
            said += f"; make the Airflow connection aws_{account}"
        plan.remark("targets", f"{self.report.decide(fields.where, said)}.")

    def _places_of(self, wave: str, usual: str | None) -> set[tuple[str, str]]:
        """Return the accounts and regions of a wave's groups; of one without groups, the plan's region."""
        places = self.places.get(wave) or {(None, None)}
        return {(account or "", region or usual or "") for account, region in places}

    def _outside(self, plan: SourcePlan) -> None:
        """What belongs into Airflow's connection, or to SNS."""
        account = [
            *self.fields.leave_out(
                "make an Airflow connection for the account and name it in aws_conn_id", "accountId"
            ),
            *self.fields.leave_out(
                "put it into the role_arn of an Airflow connection and name that in aws_conn_id",
                "assumeRoleName",
                "crossAccountRole",
                "externalId",
            ),
        ]
        mail = self.fields.leave_out("subscribe it to an SNS topic and name that in notify", "notificationEmail")
        for key, remarks in (("target", account), ("", mail)):
            for remark in remarks:
                plan.remark(key, f"Not carried over: {remark}.")
