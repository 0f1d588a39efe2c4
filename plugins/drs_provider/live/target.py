"""Where a wait writes its live data, as the task that defers hands it to its trigger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from drs_provider.live.model import LiveTask
from drs_provider.live.writing import NO_PROGRESS, Progress, first_look, live_writer

__all__ = ["live_target", "open_progress"]

log = logging.getLogger(__name__)


def live_target(folder: str, task: LiveTask, names: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return the argument ``live`` of a trigger, JSON-serialisable.

    :param folder: the folder of the run's report, a path or a URL.
    :param task: the task that waits.
    :param names: host names by source server id.
    """
    return {"folder": folder, "task": task.model_dump(mode="json"), "names": dict(names or {})}


def open_progress(live: Mapping[str, Any] | None, gives_up: float) -> Progress:
    """Begin to write the live data of a wait in this event loop.

    :param live: of :func:`live_target`, from an earlier version perhaps; None: nothing is written.
    :param gives_up: when the wait ends without success, in epoch seconds.
    """
    if not live:
        return NO_PROGRESS
    try:
        wait = first_look(LiveTask.model_validate(live["task"]), gives_up)
        return live_writer().open(str(live["folder"]), wait, live.get("names"))
    except Exception:
        log.exception("No live data is written of this wait")
        return NO_PROGRESS
