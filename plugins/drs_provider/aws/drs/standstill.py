"""When replication stands still: nothing has got better for longer than it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from drs_provider.aws.drs.progress import Progress
from drs_provider.durations import format_duration

__all__ = ["Standstill"]


@dataclass
class Standstill:
    """
    What is known of the progress of several servers between looks.

    It begins anew with each process that waits: a server that stands still is reported again after a restart.

    :param after: Seconds without progress after which a server stands still.
    """

    after: float
    longest: dict[str, float] = field(default_factory=dict)
    """The longest time without progress so far, in seconds, by server."""
    _last: dict[str, Progress] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)

    def look(self, progress: Mapping[str, Progress], now: float) -> list[str]:
        """
        Take a look, and return a line for each server that began to stand still, or that goes on.

        :param progress: Of the servers that are waited for, by id.
        :param now: Epoch seconds.
        """
        lines = []
        for server, current in progress.items():
            before = self._last.get(server)
            self._last[server] = current
            if before is None:
                self._since[server] = now
                continue
            stood = now - self._since[server]
            self.longest[server] = max(self.longest.get(server, 0.0), stood)
            if current.advanced_since(before):
                self._since[server] = now
                if server in self._reported:
                    self._reported.discard(server)
                    lines.append(f"{server} goes on after {_text(stood)}: {current}")
            elif stood > self.after and server not in self._reported:
                self._reported.add(server)
                lines.append(f"{server} has made no progress for {_text(stood)}: {current}")
        return lines


def _text(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
