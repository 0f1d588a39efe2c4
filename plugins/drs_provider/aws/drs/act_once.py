"""Doing one thing to each of several servers or instances, once: look, act, look.

The calls of a failback have neither a client token nor tags. What makes each happen once is that it is looked for
before it is asked for, on a look that is fresh, and again after every answer that leaves it open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.drs.questions import DrsAccess
from drs_provider.aws.faults import ActionFailed, Fault, classify, error_code, error_text
from drs_provider.aws.freshness import Look
from drs_provider.aws.pauses import pause_for

__all__ = ["act_once"]

T = TypeVar("T")

_LONGEST_PAUSE = 20.0
_ACCEPTED = "DRS accepted it and does not show it"


def act_once(
    drs: DrsAccess,
    ids: Iterable[str],
    *,
    look: Callable[[Sequence[str]], Mapping[str, T]],
    ask: Callable[[str], object],
    within: timedelta,
    deadline: float | None = None,
    log: Any,
    check: Callable[[str], None] = lambda one: None,
    accepted: set[str] | None = None,
    pause: Callable[[float], None] = pause_for,
) -> dict[str, T]:
    """
    Do something to each of several things, each once; those that DRS refuses do not keep the others from it.

    :param drs: The connection that asks.
    :param ids: Of the servers or instances.
    :param look: Returns what shows that it is done, by id, for those that it is done to. Asked about what is left.
        May raise: then nothing more is asked for.
    :param ask: Makes the one call for one id, without SDK retries.
    :param within: How long to go on through conflicts and transient errors.
    :param deadline: When that is over, in epoch seconds, where it began earlier; by default it begins now.
    :param log: Where to tell of them.
    :param check: Called for an id right before it is asked for, on the same look; raises ActionFailed where it must not
        be.
    :param accepted: What DRS has accepted in an earlier part of this wait; what is accepted now is added.
    :param pause: Waits so many seconds for the next look; may raise, to wait elsewhere.
    :returns: What ``look`` returned, in the order of ``ids``.
    :raises ActionFailed: when DRS refuses, or the time is up; with a reason for each id.
    """
    wanted = list(dict.fromkeys(ids))
    pauses = Backoff(time.time() + within.total_seconds() if deadline is None else deadline, longest=_LONGEST_PAUSE)
    done: dict[str, T] = {}
    accepted = set() if accepted is None else accepted
    missing: set[str] = set()
    refused: dict[str, str] = {}
    trouble: dict[str, str] = {}
    while True:
        moment = Look()
        left = [one for one in wanted if one not in done and one not in refused]
        done.update(look(left))
        left = [one for one in left if one not in done]
        if not left:
            break
        again = stale = False
        for one in left:
            if one in accepted:
                continue
            if not moment.is_fresh:
                stale = True
                break
            try:
                check(one)
                ask(one)
            except ActionFailed as refusal:
                refused[one] = str(refusal)
            except Exception as error:
                trouble[one] = error_text(error)
                fault = classify(error)
                if fault is Fault.EXPIRED:
                    drs.renew_credentials()
                if error_code(error) == "ResourceNotFoundException" and one not in missing:
                    # It was there a moment ago: what deletes it may have been somebody's, or an earlier call.
                    missing.add(one)
                    again = True
                elif fault is Fault.DEFINITE:
                    refused[one] = trouble[one]
                log.warning("%s: %s", one, trouble[one])
            else:
                accepted.add(one)
                trouble[one] = _ACCEPTED
                again = True
        if again or (stale and time.time() < pauses.until):
            continue
        left = [one for one in left if one not in refused]
        if pauses.is_over:
            late = f"not done within {within}"
            refused.update({one: f"{late}: {trouble.get(one, 'there was no time to ask')}" for one in left})
            break
        if left:
            pause(pauses.take())
    if refused:
        reasons = (reason if one in reason else f"{one}: {reason}" for one, reason in sorted(refused.items()))
        raise ActionFailed("\n".join(reasons))
    return {one: done[one] for one in wanted}
