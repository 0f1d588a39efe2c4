"""Pages of a list, as AWS cuts them: an opaque token, a page size that a scenario or a fault can lower.

A token names the last item that was shown, so that items which come or go between two pages shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from drs_provider.simulator import runtime
from drs_provider.simulator.call_context import page_limit

__all__ = ["InvalidToken", "page"]

Item = TypeVar("Item")


class InvalidToken(ValueError):
    """The token is not one of ours."""


def page(
    items: Sequence[Item],
    key: Callable[[Item], str],
    token: str | None = None,
    size: int | None = None,
    longest: int = 1000,
) -> tuple[list[Item], str | None]:
    """One page of `items`, which have an order and each a `key` of its own, and the token of the next one.

    :param size: what the caller asked for; the scenario's `page_size` and a fault's can lower it.
    :param longest: the longest page that AWS gives.
    :raises InvalidToken: the token was never given out.
    """
    start = number = 0
    if token:
        after, offset, number = _read(token)
        positions = (index for index, item in enumerate(items) if key(item) == after)
        start = next(positions, offset - 1) + 1
    limits = [limit for limit in (size, longest, _scenario_limit()) if limit is not None]
    end = start + min(limits)
    fault = page_limit.get()
    if fault is not None:
        # A truncated page may even be empty and still name a next one; the next one must get on.
        end = min(end, start + fault)
    shown = list(items[start:end])
    if end >= len(items):
        return shown, None
    last = key(items[end - 1]) if end > 0 else ""
    return shown, base64.urlsafe_b64encode(json.dumps([last, end, number + 1]).encode()).decode()


def _scenario_limit() -> int | None:
    simulation = runtime.current()
    return simulation.scenario.page_size if simulation else None


def _read(token: str) -> tuple[str, int, int]:
    """The last item's key, how many were shown, and the page's number, by which two tokens are never the same."""
    try:
        after, offset, number = json.loads(base64.urlsafe_b64decode(token.encode()))
        return str(after), int(offset), int(number)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidToken(token) from error
