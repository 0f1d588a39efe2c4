"""How a command waits for AWS: it says so after two seconds, and gives up when AWS is silent for too long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from drs_provider.commands.terminal import say

if TYPE_CHECKING:
    from botocore.config import Config

    from drs_provider.aws.clients import Clients

__all__ = ["FIRST_WORD", "SILENCE", "AwsSilentError", "Timeout", "end_now", "impatient", "meanwhile", "within"]

SILENCE = 30.0
"""Seconds without any answer of AWS after which a command gives up."""
FIRST_WORD = 2.0
_NEXT_WORD = 10.0

Value = TypeVar("Value")
Timeout = Annotated[float, typer.Option(help="Give up when AWS gives no answer for so many seconds.", min=1)]
"""The option of every command that asks AWS."""

_abandoned = False


class AwsSilentError(Exception):
    """AWS gave no answer for too long."""


def within(
    clients: Clients | Sequence[Clients], timeout: float, work: Callable[[], Value], *, first_word: float = FIRST_WORD
) -> Value:
    """Do work that asks AWS, and return what it returns.

    Progress goes to standard error: a command's answer stands on standard output.

    :param clients: the clients that the work uses; of several accounts, the last that answered counts.
    :param timeout: the longest silence, in seconds. Work that gets answers may take as long as it needs.
    :param first_word: after how many seconds it says that it waits.
    :raises AwsSilentError: when AWS was silent for that long; the work is left to itself.
    """
    global _abandoned
    everyone = [clients] if not isinstance(clients, Sequence) else list(clients)
    result: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    # A daemon: what hangs in a call must not hold up the end of the command.
    thread = threading.Thread(target=target, name="aws", daemon=True)
    started, word = time.monotonic(), first_word
    thread.start()
    while thread.is_alive():
        now = time.monotonic()
        silent = now - max(started, *(one.answered_at for one in everyone))
        answers = sum(one.answers for one in everyone)
        addresses = ", ".join(dict.fromkeys(one.address for one in everyone))
        if silent >= timeout:
            _abandoned = True
            raise AwsSilentError(
                f"AWS gave no answer for {silent:.0f} s"
                + (f", after {answers} answers" if answers else "")
                + f": {addresses}"
            )
        if now - started >= word:
            say(f"asking AWS ({addresses}): {answers} answers in {now - started:.0f} s", err=True)
            word += _NEXT_WORD
        thread.join(min(0.2, max(timeout - silent, 0.01)))
    if failure:
        raise failure[0]
    value: Value = result[0]
    return value


@contextmanager
def meanwhile(what: str, *, first_word: float = FIRST_WORD) -> Iterator[None]:
    """Say on standard error after two seconds what a command waits for, and again every ten seconds.

    :param what: what it does, such as ``asking AWS``.
    :param first_word: after how many seconds it says so.
    """
    done, started = threading.Event(), time.monotonic()

    def words() -> None:
        pause = first_word
        while not done.wait(pause):
            say(f"{what}: {time.monotonic() - started:.0f} s", err=True)
            pause = _NEXT_WORD

    thread = threading.Thread(target=words, name="words", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def impatient(timeout: float) -> Config:
    """Return the configuration of a client outside of :func:`within`: it gives up after about so many seconds.

    :param timeout: the longest silence, in seconds.
    """
    from botocore.config import Config

    return Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1})


def end_now(status: object) -> None:
    """End the process at once, where work was left to itself: Python would wait for the threads of it.

    :param status: the exit status.
    """
    if _abandoned:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)
