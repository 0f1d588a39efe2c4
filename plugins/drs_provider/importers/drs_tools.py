"""Plans of the plan automation of the AWS DRS tools: applications with their plans, whose waves run one after another.

All its times are seconds. A server belongs to a wave when it bears the application's tag and the wave's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

from drs_provider.importers.fields import Fields, shown
from drs_provider.importers.report import ImportReport
from drs_provider.importers.source_plan import SourcePlan, SourceScript, SourceSelector, SourceWave
from drs_provider.plan.scalars import TOPIC_ARN

__all__ = ["read_drs_tools"]

_POLLING = "how often the source looked; here waiting looks by itself, more often towards the end"
_CONNECTION = "make an Airflow connection for the account and name it in aws_conn_id"


def read_drs_tools(items: Iterable[tuple[str, dict[str, Any]]], report: ImportReport) -> list[SourcePlan]:
    """Read the plans of applications.

    :param items: applications with their JSON paths.
    :param report: takes what was decided and left out, and what is wrong.
    :return: the plans; incomplete where the report has problems.
    """
    found = []
    for where, item in items:
        fields = Fields(item, where, report)
        if not fields.has("Plans"):
            report.refuse(where, "is no application: expected AppName, KeyName, KeyValue, Region and Plans")
            continue
        found += _Application(fields, report).plans()
    if not found and not report.problems:
        report.refuse("", "there is no plan: expected an application with Plans")
    return found


class _Application:
    def __init__(self, fields: Fields, report: ImportReport) -> None:
        self.fields = fields
        self.report = report
        self.name = fields.text("AppName", "AppId", required="the application's name") or "application"
        self.tag = _tag(fields, "the tag of the application's servers")
        self.region = fields.text("Region", required="the recovery region, such as us-west-2") or ""
        self.owner = fields.text("Owner")
        self.topic = self._topic()
        self.description = fields.text("Description") or ""
        self.account = fields.leave_out(_CONNECTION, "AccountId")

    def plans(self) -> list[SourcePlan]:
        """Return the application's plans."""
        parts = self.fields.parts("Plans")
        found = [self._plan(part) for part in parts]
        self.fields.ignore("AppId")
        self.fields.leave_out_rest()
        return found

    def _topic(self) -> str | None:
        where, topic = self.fields.path("SnsTopic"), self.fields.text("SnsTopic")
        if topic is not None and not re.search(TOPIC_ARN, topic):
            self.report.leave_out(where, f"{topic!r} is not the ARN of an SNS topic: name it in notify yourself")
            return None
        return topic

    def _plan(self, fields: Fields) -> SourcePlan:
        name = fields.text("PlanName", "PlanId", required="the plan's name") or "plan"
        plan = SourcePlan(
            name=f"{self.name} {name}",
            where=fields.where,
            origin=f'Imported from the DRS plan automation: application "{self.name}", plan "{name}".',
            region=self.region,
            description=fields.text("Description") or self.description,
            owner=self.owner,
            rto=_seconds(fields, "RTO"),
            rpo=_seconds(fields, "RPO"),
            topic=self.topic,
        )
        for remark in self.account:
            plan.remark("target", f"Not carried over: {remark}.")
        if plan.rto or plan.rpo:
            plan.remark("objectives", self.report.decide(fields.path("RTO"), "RTO and RPO are read as seconds") + ".")
        plan.waves = [self._wave(part, number) for number, part in enumerate(fields.parts("Waves"))]
        if not plan.waves:
            self.report.refuse(fields.path("Waves"), "has no wave; expected at least one")
        for before, wave in pairwise(plan.waves):
            wave.depends_on = [before.key]
        fields.ignore("PlanId", "created", "updated")
        fields.leave_out_rest()
        return plan

    def _wave(self, fields: Fields, number: int) -> SourceWave:
        name = fields.text("Name", "WaveName") or f"wave {number + 1}"
        wave = SourceWave(key=str(number), name=name, where=fields.where, description=fields.text("Description") or "")
        wave.launch_timeout = _seconds(fields, "MaxWaitTime")
        fields.leave_out(_POLLING, "UpdateTime")
        tag = _tag(fields, "the tag of the wave's servers")
        if tag and self.tag:
            if tag[0] == self.tag[0] and tag[1] != self.tag[1]:
                self.report.refuse(
                    fields.path("KeyValue"),
                    f"{tag[0]}={tag[1]}, and the application's tag is {self.tag[0]}={self.tag[1]}: no server has both; "
                    "expected another key, or the same value",
                )
            wave.servers = [SourceSelector(tags=dict([self.tag, tag]))]
            wave.remark("servers", "The application's tag and the wave's: a server must bear both.")
        wave.pre_launch = [self._script(part) for part in fields.parts("PreWaveActions")]
        wave.post_launch = [self._script(part) for part in fields.parts("PostWaveActions")]
        fields.leave_out_rest()
        return wave

    def _script(self, fields: Fields) -> SourceScript:
        start = fields.part("StartAutomationExecution")
        if start is None:
            where = fields.path("StartAutomationExecution")
            self.report.refuse(where, "is missing; expected the runbook: DocumentName and Parameters")
            start = Fields({}, where, self.report)
        document = start.text("DocumentName") or ""
        if not document and start.value:
            self.report.refuse(start.path("DocumentName"), "is missing; expected the name of an Automation runbook")
        script = SourceScript(
            name=fields.text("Name") or document,
            where=fields.where,
            automation=document,
            parameters=self._parameters(start),
            timeout=_seconds(fields, "MaxWaitTime"),
        )
        if fields.has("Description"):
            script.comments.append(fields.text("Description") or "")
        before = len(self.report.left_out)
        start.leave_out_rest()
        # What is left out of a call changes what it does: the file says so as well.
        script.comments += [f"Not carried over: {note}." for note in self.report.left_out[before:]]
        fields.leave_out(_POLLING, "UpdateTime")
        fields.leave_out_rest()
        return script

    def _parameters(self, start: Fields) -> dict[str, list[str]]:
        part = start.part("Parameters")
        found: dict[str, list[str]] = {}
        for name, value in part.value.items() if part else ():
            values = value if isinstance(value, list) else [value]
            if all(isinstance(each, (str, int, float)) for each in values):
                found[name] = [each if isinstance(each, str) else _written(each) for each in values]
            else:
                where = f"{start.path('Parameters')}.{name}"
                self.report.refuse(where, f"expected a text or a list of texts, found {shown(value)}")
        return found


def _written(value: Any) -> str:
    """A number or a truth value as SSM takes it: text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tag(fields: Fields, what: str) -> tuple[str, str] | None:
    key = fields.text("KeyName", required=f"the key of {what}")
    value = fields.text("KeyValue", required=f"the value of {what}")
    return (key, value) if key is not None and value is not None else None


def _seconds(fields: Fields, key: str) -> timedelta | None:
    """A time of the source, in seconds; none where it is absent or zero."""
    where = fields.path(key)
    number = fields.number(key)
    if number is None or number == 0:
        return None
    if number < 0 or number > timedelta(days=365).total_seconds():
        fields.report.refuse(where, f"{number:g} seconds; expected zero to 365 days")
        return None
    # A plan file counts whole seconds, and a limit is rather longer than shorter.
    return timedelta(seconds=-(-number // 1))
