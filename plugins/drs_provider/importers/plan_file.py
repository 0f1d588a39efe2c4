"""From a source's plan to a plan file: legal names, the plan room's own rules and writer, comments where it decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from drs_provider.durations import format_duration
from drs_provider.importers.naming import LegalNames
from drs_provider.importers.report import ImportReport
from drs_provider.importers.source_plan import SourcePlan, SourceScript, SourceSelector, SourceWave
from drs_provider.plan.document import read_document
from drs_provider.plan.explain import explain
from drs_provider.plan.kinds import reserved_names
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.writing import dump_data

__all__ = ["PlanFile", "make_plan_file"]

Comments = dict[tuple[str | int, ...], list[str]]

LEGAL = "a name has lower-case letters, digits, - and _, and is there once"


@dataclass(frozen=True)
class PlanFile:
    """A plan file that is not written yet.

    :param plan: the plan.
    :param text: the file's text, with comments.
    :param where: the plan's place in the source.
    """

    plan: RecoveryPlan
    text: str
    where: str

    @property
    def file_name(self) -> str:
        """The file's name: the plan's, so that it is found without reading others."""
        return f"{self.plan.name}.yaml"


def make_plan_file(source: SourcePlan, names: LegalNames, report: ImportReport) -> PlanFile | None:
    """Make the plan file of a source's plan.

    :param source: the plan.
    :param names: names of plans; the plan's is added.
    :param report: takes what was decided, and what is wrong.
    :return: the file; None where a plan file cannot say it, and the report says why.
    """
    writing = _Writing(source, names, report)
    data = writing.data()
    try:
        plan = RecoveryPlan.model_validate(data)
    except ValidationError as error:
        document = read_document(dump_data(data).encode())
        for problem in explain(document, error, source.where):
            report.refuse(writing.place(problem.path), f"{problem.message} ({problem.path} of the plan file)")
        return None
    text = dump_data(data, writing.comments)
    # A plan file has a limit of its own, which a plan that is valid may still pass.
    troubles = read_document(text.encode()).troubles
    for trouble in troubles:
        report.refuse(source.where, f"the plan file {trouble.message}; split the plan")
    return None if troubles else PlanFile(plan, text, source.where)


class _Writing:
    def __init__(self, source: SourcePlan, names: LegalNames, report: ImportReport) -> None:
        self.source = source
        self.report = report
        self.comments: Comments = {(): [source.origin, *source.comments.get("", ())]}
        self.name = names.legal(source.name, "plan")
        if self.name != source.name:
            self.renamed((), source.where, source.name, self.name)
        self.groups = LegalNames().all_legal({key: group.name for key, group in source.groups.items()}, "group")

    def data(self) -> dict[str, Any]:
        """Return the plan file's data, and fill the comments."""
        source = self.source
        for key, remarks in source.comments.items():
            if key:
                self.say((key,), *remarks)
        objectives = {
            name: format_duration(value) for name, value in (("rto", source.rto), ("rpo", source.rpo)) if value
        }
        data: dict[str, Any] = {
            "version": 1,
            "name": self.name,
            "description": source.description,
            "owner": source.owner,
            "target": None if source.targets else {"region": source.region},
            "targets": source.targets,
            "objectives": objectives,
            "notify": [{"sns": source.topic}] if source.topic else [],
            "protection_groups": self._protection_groups(),
        }
        waves = self._waves()
        return {**{key: value for key, value in data.items() if value}, "waves": waves}

    def say(self, path: tuple[str | int, ...], *remarks: str) -> None:
        """Put comments above a key of the file."""
        self.comments.setdefault(path, []).extend(remarks)

    def renamed(self, path: tuple[str | int, ...], where: str, name: str, legal: str) -> None:
        """Say that a name was made legal."""
        self.report.decide(where, f'"{name}" is {legal} here: {LEGAL}')
        self.say(path, f'In the source: "{name}".')

    def place(self, path: str) -> str:
        """Return the place in the source of a key path of the plan file."""
        match = re.match(r"waves\[(\d+)\](?:\.(pre_launch|post_launch)\[(\d+)\])?", path)
        if match is None:
            return self.source.where
        wave = self.source.waves[int(match[1])]
        return str(getattr(wave, match[2])[int(match[3])].where) if match[2] else wave.where

    def _protection_groups(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, group in self.source.groups.items():
            name = self.groups[key]
            path = ("protection_groups", name)
            if name != group.name:
                self.renamed(path, group.where, group.name, name)
            self.say(path, *group.comments)
            found[name] = {"servers": group.servers} if group.servers else {"tags": group.tags}
            if group.launch:
                found[name]["launch"] = group.launch
        return found

    def _waves(self) -> list[dict[str, Any]]:
        legal = LegalNames(reserved_names()).all_legal({wave.key: wave.name for wave in self.source.waves}, "wave")
        found = []
        for number, wave in enumerate(self.source.waves):
            path = ("waves", number)
            if legal[wave.key] != wave.name:
                self.renamed(path, wave.where, wave.name, legal[wave.key])
            for key, remarks in wave.comments.items():
                self.say((*path, key) if key else path, *remarks)
            found.append(self._wave(wave, legal, path))
        return found

    def _wave(self, wave: SourceWave, legal: Mapping[str, str], path: tuple[str | int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {
            "name": legal[wave.key],
            "description": wave.description,
            "target": wave.target,
            "depends_on": [legal[key] for key in wave.depends_on],
            "servers": [self._selector(selector) for selector in wave.servers],
            "launch_timeout": format_duration(wave.launch_timeout) if wave.launch_timeout else None,
            "approval": {"message": wave.approval} if wave.approval else None,
            "settle": format_duration(wave.settle) if wave.settle else None,
            "pre_launch": self._scripts(wave.pre_launch, (*path, "pre_launch")),
            "post_launch": self._scripts(wave.post_launch, (*path, "post_launch")),
        }
        return {key: value for key, value in data.items() if value or key == "servers"}

    def _selector(self, selector: SourceSelector) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if selector.group is not None:
            found["group"] = self.groups[selector.group]
        elif selector.id is not None:
            found["id"] = selector.id
        else:
            found["tags"] = selector.tags
        return found if selector.critical else {**found, "critical": False}

    def _scripts(self, scripts: list[SourceScript], path: tuple[str | int, ...]) -> list[dict[str, Any]]:
        names = LegalNames().all_legal({str(number): script.name for number, script in enumerate(scripts)}, "script")
        found = []
        for number, script in enumerate(scripts):
            name = names[str(number)]
            if name != script.name:
                self.renamed((*path, number), script.where, script.name, name)
            self.say((*path, number), *script.comments)
            data: dict[str, Any] = {"name": name, "automation": script.automation}
            if script.parameters:
                data["parameters"] = script.parameters
            if script.timeout:
                data["timeout"] = format_duration(script.timeout)
            found.append(data)
        return found
