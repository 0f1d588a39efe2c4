"""Child processes that never outlive their parent: started in groups of their own, stopped whole.

An Airflow scheduler has worker processes, a worker has task runners: stopping one means stopping all its descendants.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["ChildProcess", "PortTaken", "ProcessDied", "free_port", "require_free_port", "stop_all", "wait_until"]

_PR_SET_PDEATHSIG = 1


class ProcessDied(RuntimeError):
    """A child process ended although it should have gone on; the message holds the end of its log."""


class PortTaken(RuntimeError):
    """Somebody else listens on a port that a child process is to have."""


def require_free_port(port: int) -> None:
    """Return when nobody listens on a TCP port of the loopback interface.

    A child that finds its port taken ends, but until then its parent could take the other program for the child.

    :raises PortTaken: when somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another") from None


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    # Linux only: the kernel sends SIGTERM when the parent ends, even when it was killed with SIGKILL. What counts as
    # the parent is the thread that started the process, so processes are started from threads that stay.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class ChildProcess:
    """One child process with its log file.

    :param name: what error messages call it.
    :param command: the program and its arguments.
    :param env: its whole environment.
    :param log_path: the file that takes its output.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError before :meth:`start`."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start the process in a session of its own, so that a Ctrl-C in the terminal reaches only its parent."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                self.command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def check(self) -> None:
        """Raise :class:`ProcessDied` when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ProcessDied(
                f"{self.name} ended with exit code {self._process.returncode}. The end of {self.log_path}:\n"
                + self.log_tail()
            )

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the process's log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def descendants(self) -> list[psutil.Process]:
        """Return the processes that this one started, and theirs."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End the process alone with SIGKILL, as a crash would; its children are left to find out."""
        os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def request_stop(self) -> None:
        """Ask the process to end, and return at once."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C break off what the first one began."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@_undisturbed()
def stop_all(children: Iterable[ChildProcess], grace: float = 8.0) -> None:
    """End processes and all their descendants: SIGTERM, then SIGKILL for what is left.

    :param grace: seconds between the two signals.
    """
    started = [child for child in children if child._process is not None]
    family = [process for child in started for process in child.descendants()]
    for child in started:
        child.request_stop()
    deadline = time.monotonic() + grace
    for child in started:
        if child._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child._process.wait(max(0.0, deadline - time.monotonic()))
    for child in started:
        family += child.descendants()
        if child.alive and child._process is not None:
            child._process.kill()
            child._process.wait()
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=5)


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    timeout: float,
    children: Iterable[ChildProcess] = (),
    poll: float = 0.1,
) -> None:
    """Wait until a condition holds.

    :param condition: called again and again; an OSError in it counts as "not yet".
    :param what: what is waited for, for the error.
    :param timeout: seconds.
    :param children: processes that must stay alive meanwhile.
    :raises TimeoutError: when the condition does not hold in time.
    :raises ProcessDied: when one of the processes ends.
    """
    deadline = time.monotonic() + timeout
    watched = list(children)
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        for child in watched:
            child.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout:g} s")
        time.sleep(poll)
