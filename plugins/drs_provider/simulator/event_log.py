"""The simulator's own account of what happened: one JSON line for each API call and each change of state.

Wave order, duplicate launches and latency are measured from here, not from what an orchestrator says of itself.
A call has `t` (epoch seconds of its arrival), `operation`, `params`, `status`, `error`, and `service`, `account`,
`region`; a change of state has `t` (the exact time of the phase), `event` (the job log's own name), `job`, `server`.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, TextIO

__all__ = ["EventLog"]


class EventLog:
    """A thread-safe list of what happened, also appended to a file where one is given.

    :param path: the file that JSON lines are appended to; each line is flushed, so that it survives a kill.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []
        self._file: TextIO | None = None
        self.path = Path(path) if path is not None else None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")

    def call(
        self,
        t: float,
        operation: str,
        params: Any,
        status: int,
        error: str | None,
        **more: Any,
    ) -> None:
        """Record an API call."""
        self._write({"t": t, "operation": operation, "params": params, "status": status, "error": error, **more})

    def event(self, t: float, event: str, job: str | None = None, server: str | None = None, **more: Any) -> None:
        """Record a change of state, at the exact time of its phase."""
        self._write({"t": t, "event": event, "job": job, "server": server, **more})

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """A copy of the entries from number `since` on, in the order in which they were written."""
        with self._lock:
            return self._entries[since:]

    def clear(self) -> None:
        """Forget the entries in memory; the file keeps its lines."""
        with self._lock:
            self._entries.clear()

    def truncate(self) -> None:
        """Forget everything, in the file too."""
        with self._lock:
            self._entries.clear()
            if self._file is not None:
                self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, default=str, separators=(",", ":"))
        with self._lock:
            self._entries.append(entry)
            if self._file is not None:
                self._file.write(line + "\n")
                self._file.flush()
