"""What a wait for launches tells a person meanwhile: who is up, who is not, how long it takes, and when it gives up.

The same in a worker and in the triggerer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from drs_provider.aws.drs.outcome import named, newest_by_server
from drs_provider.durations import duration_text
from drs_provider.timestamps import clock_text, parse_timestamp

__all__ = ["Expectations", "LaunchProgress"]

Item = Mapping[str, Any]

_DOING = {
    "SNAPSHOT_START": "taking a snapshot",
    "SNAPSHOT_END": "snapshot taken",
    "USING_PREVIOUS_SNAPSHOT": "snapshot failed, using the previous one",
    "SNAPSHOT_FAIL": "snapshot failed",
    "CONVERSION_START": "converting",
    "CONVERSION_END": "converted",
    "LAUNCH_START": "launching",
    "LAUNCH_END": "launching",
    "CLEANUP_START": "deleting its previous instance",
    "CLEANUP_END": "previous instance deleted",
}
_MOST_NAMED = 8


@dataclass(frozen=True)
class Expectations:
    """What a caller knows about a launch beyond DRS.

    :param names: host names by source server id.
    :param usual: seconds that the launch of a server usually takes, from the start of its job, by source server id.
    :param objective_at: when the RTO is over, in epoch seconds; None where there is none to meet.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, float] = field(default_factory=dict)
    objective_at: float | None = None


class LaunchProgress:
    """Follows jobs, and says how far they are.

    :param expected: what the caller knows.
    """

    def __init__(self, expected: Expectations) -> None:
        self.expected = expected
        self.jobs: Sequence[Item] = ()
        self._last: dict[str, tuple[str, float]] = {}

    def take(self, jobs: Sequence[Item], logs: Mapping[str, Sequence[Item]]) -> None:
        """Take what was seen last.

        :param jobs: the jobs, in the shape of DescribeJobs.
        :param logs: their logs as far as they were read, by job id.
        """
        self.jobs = list(jobs)
        self._last = {}
        for job in jobs:
            for item in logs.get(str(job["jobID"]), ()):
                server = (item.get("eventData") or {}).get("sourceServerID")
                doing = _DOING.get(str(item.get("event")))
                if server and doing:
                    self._last[server] = (doing, parse_timestamp(str(item["logDateTime"])).timestamp())

    def heartbeat(self, deadline: float) -> str:
        """Return one line that says how far the launches are.

        :param deadline: when the wait gives up, in epoch seconds.
        """
        now = time.time()
        newest = newest_by_server(self.jobs)
        states = {server: str(one.get("launchStatus", "PENDING")) for server, (_, one) in newest.items()}
        counts = Counter(states.values())
        up, failed = counts["LAUNCHED"], counts["FAILED"] + counts["TERMINATED"]
        waiting = [server for server, state in states.items() if state not in ("LAUNCHED", "FAILED", "TERMINATED")]
        parts = [f"{up} of {len(states)} servers launched" + (f", {failed} failed" if failed else "")]
        if not states:
            parts = ["DRS has not listed the jobs yet"]
        if waiting:
            named_ones = [self._doing(server, newest[server][0], now) for server in waiting[:_MOST_NAMED]]
            more = len(waiting) - _MOST_NAMED
            parts.append("waiting for " + ", ".join(named_ones) + (f" and {more} more" if more > 0 else ""))
        usual = [self.expected.usual[server] for server in states if server in self.expected.usual]
        if usual:
            parts.append(f"the slowest of them usually takes {duration_text(max(usual))}")
        if self.expected.objective_at is not None:
            left = self.expected.objective_at - now
            parts.append(f"RTO left: {duration_text(left)}" if left > 0 else f"RTO over for {duration_text(-left)}")
        until = clock_text(datetime.fromtimestamp(deadline, timezone.utc))
        parts.append(f"the wait gives up at {until} UTC, in {duration_text(max(deadline - now, 0.0))}")
        return "; ".join(parts)

    def _doing(self, server: str, job: Item, now: float) -> str:
        name = named(server, {"hostname": self.expected.names.get(server)})
        began = parse_timestamp(str(job["creationDateTime"])).timestamp() if "creationDateTime" in job else now
        doing, since = self._last.get(server, ("queued in DRS", began))
        late = now - began > self.expected.usual.get(server, float("inf"))
        return f"{name}: {doing} for {duration_text(max(now - since, 0.0))}" + (" (longer than usual)" if late else "")
