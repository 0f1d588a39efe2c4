"""One way of calling AWS for code that runs in a worker and in the triggerer alike.

The steps that look for something, judge it and collect what came of it are written once, as coroutines over
:class:`Calls`. The triggerer gives them an aiobotocore client and awaits them; a worker gives them a boto3 client and
runs them with :func:`run_blocking`, where nothing ever suspends and no event loop is needed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.faults import TRANSIENT, classify, error_code, error_text
from drs_provider.aws.pauses import pause_for

__all__ = ["TRANSIENT", "BlockingCalls", "Calls", "chunks", "limited_patience", "patience_of", "run_blocking"]

T = TypeVar("T")

_TOKENS = ("nextToken", "NextToken", "Marker")
_SLOWEST_APPEARING = 10.0
_LIMIT: ContextVar[float] = ContextVar("patience_limit", default=math.inf)


@contextmanager
def limited_patience(seconds: float) -> Iterator[None]:
    """Let nothing here wait longer than so many seconds for a transient error to pass.

    For a caller that has a better place to wait than this worker, and begins again when AWS answers.

    :param seconds: the longest that :func:`patience_of` returns meanwhile.
    """
    token = _LIMIT.set(seconds)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def patience_of(seconds: float) -> float:
    """Return for how many seconds to wait out transient errors here, where `seconds` would be waited otherwise."""
    return min(seconds, _LIMIT.get())


class Calls:
    """An AWS client, boto3's or aiobotocore's, behind one awaitable face.

    :param client: a client of boto3 or aiobotocore.
    :param patience: seconds for which reading goes on through transient errors before one is raised; 0: none.
    :param log: where transient errors are noted.
    """

    def __init__(self, client: Any, *, patience: float = 0.0, log: logging.Logger | Any = None) -> None:
        self.client = client
        self.patience = patience
        self.log = log or logging.getLogger(__name__)

    async def sleep(self, seconds: float) -> None:
        """Pause for so many seconds."""
        await asyncio.sleep(seconds)

    async def together(self, *questions: Coroutine[Any, Any, Any]) -> list[Any]:
        """Ask several questions at the same time; return the answers in their order."""
        return await asyncio.gather(*questions)

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call a client method once, for operations that change something. Errors are the SDK's own."""
        answer = getattr(self.client, operation)(**params)
        if inspect.isawaitable(answer):
            answer = await answer
        return dict(answer)

    async def read(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call a client method that only reads; transient errors are waited out for `patience` seconds.

        :raises botocore.exceptions.ClientError: for an error that does not pass, or that lasted longer.
        """
        pauses = Backoff(time.time() + patience_of(self.patience), first=0.5)
        while True:
            try:
                return await self.call(operation, **params)
            except Exception as error:
                if classify(error) not in TRANSIENT or pauses.is_over:
                    raise
                self.log.warning("%s: %s; reading again in %.1f s", operation, error_text(error), pauses.pause)
            await self.sleep(pauses.take())

    async def read_new(self, operation: str, unseen: str, *, until: float, **params: Any) -> dict[str, Any]:
        """Read something that was made a moment ago, and that AWS may not show yet.

        AWS's reads are eventually consistent: an id that AWS has just given out may not exist for a while.

        :param unseen: the error code by which AWS says that there is no such thing.
        :param until: epoch seconds; what is not there by then does not exist.
        :raises botocore.exceptions.ClientError: as :meth:`read`, and when it did not appear in time.
        """
        pauses = Backoff(until, longest=_SLOWEST_APPEARING)
        while True:
            try:
                return await self.read(operation, **params)
            except Exception as error:
                if error_code(error) != unseen or pauses.is_over:
                    raise
                self.log.info("%s: %s; it may not be visible yet", operation, error_text(error))
            await self.sleep(pauses.take())

    async def pages(self, operation: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Read the pages of an operation one after the other, each as :meth:`read` does.

        Pages are linked by `NextToken`, by `nextToken` in DRS, or by `Marker` in IAM. An empty page with a token is not
        the last one.
        """
        while True:
            page = await self.read(operation, **params)
            yield page
            name = next((each for each in _TOKENS if page.get(each)), None)
            if name is None:
                return
            params[name] = page[name]

    async def read_all(self, operation: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """Read every page of an operation and return the items under `key`."""
        items: list[dict[str, Any]] = []
        async for page in self.pages(operation, **params):
            items += page.get(key) or []
        return items


class BlockingCalls(Calls):
    """:class:`Calls` over a boto3 client in a worker: it blocks where the other would suspend."""

    async def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        pause_for(seconds)

    async def together(self, *questions: Coroutine[Any, Any, Any]) -> list[Any]:
        """Ask one question after the other."""
        try:
            return [await question for question in questions]
        finally:
            for question in questions:
                question.close()


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over :class:`BlockingCalls` to its end. Nothing in it suspends, so one step reaches the end.

    :raises RuntimeError: when the coroutine did suspend, that is, was not given blocking calls.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine over BlockingCalls suspended")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    rest = list(items)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]
