"""Waiting in the triggerer for a free slot for a DRS job: in one line, whichever run and plan the job is of.

An account has slots for twenty jobs. In a night of many drills more launches are ready than that, for hours: none of
them may hold a worker meanwhile, and they ask AWS together. Without a line all of them would set out at every slot that
becomes free, and the one that came first could wait the longest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from drs_provider.aws.calls import Calls
from drs_provider.aws.drs.reads import DrsReads
from drs_provider.aws.drs.slots import BUSY_WINDOW, SlotsTaken
from drs_provider.aws.quotas import Quotas
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["DrsJobSlotTrigger", "Place", "SlotLine"]

LOOK_SECONDS = 5.0
JOINING_SECONDS = 1.0
"""How long others have to join the line before a job that has just joined it may go."""
GOING_SECONDS = 30.0
"""How long a slot is kept for a launch that was let go: its worker starts, looks once more, and calls StartRecovery."""

_LINE = "line"


@dataclass(eq=False)
class Place:
    """A job's place in the line.

    :param is_drill: whether it is a drill's; drills stand behind all that is in earnest.
    :param since: when its wait began, in epoch seconds.
    :param servers: how many servers the job has.
    :param quotas: what has to hold when it has started.
    """

    is_drill: bool
    since: float
    servers: int
    quotas: Quotas


class SlotLine:
    """The jobs that wait for slots of one account and region: the fetch of their shared poller, and what it returns.

    Nobody overtakes, so that a large job does not wait for ever behind small ones. What other triggerers and people
    start is seen at the next look; whoever was let go in vain comes back to the place that they had.
    """

    def __init__(self) -> None:
        self.taken = SlotsTaken({})
        self._waiting: list[Place] = []
        self._going: list[tuple[float, int]] = []

    async def __call__(self, calls: Calls, ids: Sequence[str]) -> dict[str, SlotLine]:
        """Look which jobs are in progress."""
        jobs = await DrsReads(calls).jobs_since(datetime.now(timezone.utc) - BUSY_WINDOW)
        self.look(SlotsTaken.of(jobs))
        return {_LINE: self}

    def look(self, taken: SlotsTaken) -> None:
        """Take in what is in progress; each job that was not there before ends the keeping of one slot."""
        started = len(set(taken.jobs) - set(self.taken.jobs))
        now = time.monotonic()
        self._going = [(at, servers) for at, servers in self._going[started:] if now - at < GOING_SECONDS]
        self.taken = taken

    def join(self, place: Place) -> bool:
        """Take a place; return whether it is new."""
        if place in self._waiting:
            return False
        self._waiting.append(place)
        return True

    def lets_go(self, place: Place) -> bool:
        """Whether there is a slot for a place and for all that are before it; the slot is kept, the place given up."""
        self.join(place)
        jobs = len(self.taken.jobs) + len(self._going)
        servers = self.taken.servers + sum(count for _, count in self._going)
        for one in self._in_order():
            jobs, servers = jobs + 1, servers + one.servers
            if jobs > one.quotas.jobs or servers > one.quotas.servers_in_jobs:
                return False
            if one is place:
                break
        self._going.append((time.monotonic(), place.servers))
        self.leave(place)
        return True

    def leave(self, place: Place) -> None:
        """Give a place up."""
        if place in self._waiting:
            self._waiting.remove(place)

    def ahead_of(self, place: Place) -> int:
        """Return how many are before a place."""
        return self._in_order().index(place)

    def _in_order(self) -> list[Place]:
        return sorted(self._waiting, key=lambda place: (place.is_drill, place.since))


class DrsJobSlotTrigger(WaitTrigger):
    """
    Waits until there is a slot for a DRS job and nobody before it in the line.

    All waits of one connection and region in a triggerer share one look at the jobs in progress.

    :param servers: How many servers the job has.
    :param quotas: The account's quotas, as :class:`~drs_provider.aws.quotas.Quotas` or a mapping with its fields.
    :param is_drill: Whether the job is a drill's; drills wait until what is in earnest has gone.
    :param since: When the wait began, in epoch seconds: the place in the line. By default now.
    """

    fields = ("servers", "quotas", "is_drill", "since")

    def __init__(
        self, *, servers: int, quotas: Any, is_drill: bool = True, since: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.servers = servers
        self.quotas = dict(quotas) if not isinstance(quotas, Quotas) else vars(quotas)
        self.is_drill = is_drill
        self.since = time.time() if since is None else since

    async def wait(self, post: Post) -> None:
        """Wait for the turn or the deadline."""
        place = Place(self.is_drill, self.since, self.servers, Quotas(**self.quotas))
        line: SlotLine | None = None
        told = ""
        try:
            async with post.watch(
                "drs-job-slots", SlotLine(), [_LINE], lambda _: LOOK_SECONDS, service="drs", batch=1
            ) as watch:
                while True:
                    try:
                        line = (await watch.next(self.deadline))[_LINE]
                    except DeadlinePassed as error:
                        raise WaitFailed(
                            "; ".join(filter(None, ["No free DRS job slot in time", told, str(error)])), timed_out=True
                        ) from None
                    if line.join(place):
                        # A triggerer that starts again makes all waits at once: everybody takes their place first.
                        await post.sleep(JOINING_SECONDS)
                    if line.lets_go(place):
                        return
                    now = f"{line.taken.against(place.quotas)}, {line.ahead_of(place)} jobs wait before this one"
                    post.progress.show(what=f"a free DRS job slot: {now}")
                    if now != told:
                        self.log.info("Waiting for a free DRS job slot: %s", now)
                    told = now
        finally:
            if line is not None:
                line.leave(place)
