"""Protection groups of the DRS orchestration solution, by id and by name."""

from __future__ import annotations

from collections.abc import Mapping

from drs_provider.importers.fields import Fields, shown
from drs_provider.importers.launch_settings import launch_settings
from drs_provider.importers.report import ImportReport
from drs_provider.importers.source_plan import SourceGroup

__all__ = ["Groups"]

_LAUNCH = (
    "a group in a plan has launch settings for all its servers; drs-plan launch-settings adopt writes each server's"
)


class Groups:
    """The groups of all the files of an import.

    :param report: takes what was left out, and what is wrong.
    :param region: the recovery region of groups that do not say theirs.
    """

    def __init__(self, report: ImportReport, region: str | None = None) -> None:
        self.report = report
        self.region = region
        self._by_id: dict[str, SourceGroup] = {}
        self._by_name: dict[str, SourceGroup] = {}
        self._whole: set[str] = set()

    def add(self, fields: Fields) -> None:
        """Read one group."""
        name = fields.text("groupName", "name")
        identity = fields.text("groupId", "id")
        if name is None and identity is None:
            self.report.refuse(fields.where, "is a group without groupId and groupName; expected one of them")
            return
        group = SourceGroup(name=name or str(identity), where=fields.where, region=fields.text("region") or self.region)
        for known, key in ((self._by_id, identity), (self._by_name, name)):
            if key is not None and known.setdefault(key, group) is not group:
                self.report.refuse(fields.where, f'"{key}" is another group, too ({known[key].where}); expected one')
        self._servers(group, fields)
        self._tags(group, fields)
        description = fields.text("description")
        if description:
            group.comments.append(description)
        self._launch(group, fields)
        group.account = fields.text("accountId")
        fields.leave_out("the credentials are those of the plan's Airflow connection", "assumeRoleName")
        fields.leave_out("a plan has an owner, a group has none", "owner")
        fields.ignore("createdDate", "createdAt", "lastModifiedDate", "lastModified", "updatedAt", "status", "version")
        fields.leave_out_rest()

    def _launch(self, group: SourceGroup, fields: Fields) -> None:
        for key in ("launchConfig", "launchConfiguration"):
            if not isinstance(fields.raw(key)[1], Mapping):
                fields.leave_out("expected an object with launch settings", key)
            elif (part := fields.part(key)) is not None:
                group.launch |= launch_settings(part)

    def _servers(self, group: SourceGroup, fields: Fields) -> None:
        servers = dict.fromkeys(server for _, server in fields.texts("sourceServerIds", "serverIds"))
        for part in fields.parts("servers"):
            server = part.text("sourceServerId", "sourceServerID", "serverId", required="a source server id")
            if server is not None:
                servers[server] = None
            part.ignore("useGroupDefaults", "hostname", "instanceId", "instanceName")
            part.leave_out(_LAUNCH, "launchTemplate", "launchConfig", "launchConfiguration")
            part.leave_out_rest()
        group.servers = list(servers)

    def _tags(self, group: SourceGroup, fields: Fields) -> None:
        part = fields.part("serverSelectionTags", "selectionTags")
        for key, value in part.value.items() if part else ():
            if isinstance(value, str):
                group.tags[key] = value
            else:
                self.report.refuse(
                    f"{fields.path('serverSelectionTags')}.{key}", f"expected text, found {shown(value)}"
                )
        if group.tags and group.servers:
            text = ", ".join(f"{key}={value}" for key, value in group.tags.items())
            said = "the group names its servers as well: the servers count, the tags do not"
            group.comments.append(self.report.decide(fields.path("serverSelectionTags"), f"{text}: {said}"))
            group.tags = {}

    def of_wave(self, fields: Fields, *, whole: bool) -> list[SourceGroup]:
        """Return the groups that a wave names by id or name, each once.

        :param whole: the wave names no servers itself: then each group must be known, and select something.
        """
        named = [(fields.path("protectionGroupId"), fields.text("protectionGroupId"))]
        named += fields.texts("protectionGroupIds")
        named.append((fields.path("protectionGroupName"), fields.text("protectionGroupName")))
        named += fields.texts("protectionGroupNames")
        found: dict[str, SourceGroup] = {}
        for where, key in named:
            if key is None:
                continue
            group = self._by_id.get(key) or self._by_name.get(key)
            if group is not None:
                found[group.where] = group
            elif whole:
                self.report.refuse(where, f'there is no group "{key}"; give the file with the groups, too')
        if whole:
            self._whole.update(found)
            for group in found.values():
                if not group.servers and not group.tags:
                    self.report.refuse(group.where, "has neither servers nor selection tags; expected one of them")
        return list(found.values())

    def leave_out_unused(self) -> None:
        """Report the groups that no wave has as a whole: they are not in the plan files."""
        for group in (*self._by_id.values(), *self._by_name.values()):
            if group.where not in self._whole:
                tags = ", ".join(f"{key}={value}" for key, value in group.tags.items())
                selects = ", ".join(group.servers) or tags or "nothing"
                self.report.leave_out(
                    group.where, f'no wave has the whole group "{group.name}", which selects {selects}'
                )
