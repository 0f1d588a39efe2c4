"""Child processes end with their parent, and take their own children with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from drs_provider.rehearsal.processes import ChildProcess, ProcessDied, stop_all, wait_until

# A process with a child that does not listen to SIGTERM.
FAMILY = """
import subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import sys, time
from pathlib import Path
from drs_provider.rehearsal.processes import ChildProcess
child = ChildProcess("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], {}, Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def child(folder: Path, code: str) -> ChildProcess:
    return ChildProcess("child", [sys.executable, "-c", code], dict(os.environ), folder / "child.log")


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stopping_a_process_ends_what_it_started_too(tmp_path: Path) -> None:
    process = child(tmp_path, FAMILY)
    process.start()
    wait_until(lambda: bool(process.log_tail()), "the grandchild", timeout=60, children=[process])
    grandchild = int(process.log_tail())
    assert not ended(grandchild)
    stop_all([process], grace=1)
    assert not process.alive
    wait_until(lambda: ended(grandchild), "the end of the grandchild", timeout=30)


def test_a_second_ctrl_c_does_not_break_off_the_end(tmp_path: Path) -> None:
    process = child(tmp_path, FAMILY)
    process.start()
    wait_until(lambda: bool(process.log_tail()), "the grandchild", timeout=60, children=[process])
    impatient = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    # A process that sleeps does not answer to SIGTERM: the end takes its whole time of grace.
    psutil.Process(process.pid).suspend()
    impatient.start()
    stop_all([process], grace=2)
    impatient.join()
    assert not process.alive
    assert ended(int(process.log_tail()))


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        sleeper = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: ended(sleeper), "the end of the child", timeout=30)


def test_a_process_that_ends_by_itself_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = child(tmp_path, "print('no such scenario'); raise SystemExit(3)")
    process.start()
    with pytest.raises(ProcessDied, match=r"(?s)child ended with exit code 3.*no such scenario"):
        wait_until(lambda: False, "its answer", timeout=60, children=[process])


def test_what_does_not_happen_in_time_is_named() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the answer did not happen within 0\.2 s"):
        wait_until(lambda: False, "the answer", timeout=0.2)
    assert time.monotonic() - began >= 0.2
