"""Files that mean harm are refused with their own message, within a second (of one core) and 100 MB."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)
TEXT_BOMB = f"a: &a {'x' * 900_000}\nb: [{', '.join(['*a'] * 1000)}]\n"
PLAN = "version: 1\nname: shop\ntarget: {region: us-west-2}\n"

HOSTILE: dict[str, tuple[bytes, str]] = {
    "alias bomb": (BOMB.encode(), "once aliases are expanded"),
    "text bomb": (TEXT_BOMB.encode(), "once aliases are expanded"),
    "alias in itself": (b"a: &a [*a]", "inside its own anchor"),
    "deep flow": (b"[" * 1_000_000, "is nested deeper than 32 levels"),
    "deep flow mapping": (b"{a: " * 200_000, "is nested deeper than 32 levels"),
    "deep block": ("\n".join(" " * depth + "a:" for depth in range(1200)).encode(), "is nested deeper than 32 levels"),
    "deep keys": (b"? " * 500_000, "is nested deeper than 32 levels"),
    "many values": (b"- a\n" * 250_000, "holds more than 32768 values"),
    "many keys": ("".join(f"a{n}: b\n" for n in range(30_000)).encode(), "holds more than 32768 values"),
    "many unknown keys": (PLAN.encode() + "".join(f"k{n}: b\n" for n in range(10_000)).encode(), "unknown key k0"),
    "many wrong waves": (
        PLAN.encode() + b"waves:\n" + b"  - x\n" * 30_000,
        "expected a mapping with name, description",
    ),
    "many waves": (
        (
            PLAN + "waves:\n" + "".join(f"  - {{name: w{n}, servers: [{{hostname: h{n}}}]}}\n" for n in range(4000))
        ).encode(),
        "at most 500 items",
    ),
    "many tags": (
        (
            PLAN
            + "waves:\n"
            + "".join(f"  - {{name: w{n}, x: 1, servers: [{{tags: {{a: b{n}, c: d}}}}]}}\n" for n in range(1500))
        ).encode(),
        "unknown key x",
    ),
    "duplicate keys": (b"a: b\n" * 60_000, "has more than 100 problems"),
    "undefined aliases": (b"- *abcdef\n" * 60_000, "has more than 100 problems"),
    "many anchors": (b"".join(b"- &a%d b\n" % n for n in range(30_000)) + b"- *zz\n", "there is no anchor &zz"),
    "long word": (b"name: " + b"a" * 1_000_000, "at most 100 characters"),
    "long unknown key": (PLAN.encode() + b'? "' + b"a" * 900_000 + b'"\n: 1\n', "unknown key aaa"),
    "long number": (PLAN.encode() + b"owner: " + b"9" * 1_000_000, "not every reader"),
    "long tag": (PLAN.encode() + b"owner: !<" + b"a" * 900_000 + b"> x", "has the tag"),
    "long duration": (PLAN.encode() + b"objectives: {rto: " + b"1h " * 300_000 + b"}", "is not a duration"),
    "long schedule": (
        PLAN.encode() + b"drill: {schedule: '" + b"* " * 450_000 + b"'}",
        "is longer than 200 characters",
    ),
    "long schedule field": (
        PLAN.encode() + b"drill: {schedule: '" + b"1," * 450_000 + b"1 * * * *'}",
        "is longer than 200 characters",
    ),
    "long time zone": (PLAN.encode() + b"drill: {timezone: " + b"a" * 900_000 + b"}", "is not a time zone name"),
    "tag directives": ("".join(f"%TAG !a{n}! b\n" for n in range(60_000)).encode(), "declares a tag"),
    "python object": (b"a: !!python/object/apply:os.system ['false']", "has the tag tag:yaml.org,2002:python"),
    "unclosed quote": (b'a: "' + b"x" * 1_000_000, "the closing quote is missing"),
    "nul": (b"version: 1\nna\0me: x\n", "contains a NUL byte"),
    "control character": (b"version: 1\nname: \x1b[31m\n", "not valid YAML"),
    "utf-16": ("version: 1\n".encode("utf-16"), "contains a NUL byte"),
    "latin-1": ("version: 1\nname: café\n".encode("latin-1"), "is not UTF-8: byte 0xe9"),
    "surrogate": (b'name: "\\ud800"', ""),
    "too large": (b"# " + b"x" * (1024 * 1024), "is larger than 1 MiB"),
    "empty": (b"", "is empty"),
    "only a comment": (b"# nothing\n", "is empty"),
    "only a marker": (b"---\n", "is empty"),
    "a list": (b"- version: 1\n", "has a list at the top"),
    "a word": (b"version", "has a single value at the top"),
    "two documents": (b"version: 1\n---\nversion: 1\n", "has a second document"),
}

READER = """
import json, os, resource, sys, time
from drs_provider.plan import PlanError, load_plan
# What a process that reads plans holds anyway.
from drs_provider.plan import explain
from croniter import croniter
try:
    load_plan("/none")
except PlanError:
    pass

def read(path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    problems = []
    try:
        load_plan(path)
    except PlanError as error:
        problems = error.problems
    spent = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    messages = [f"{problem.path}: {problem.message}"[:300] for problem in problems]
    longest = max((len(str(problem)) for problem in problems), default=0)
    return {"seconds": spent, "megabytes": grown, "messages": messages, "longest": longest}

for line in sys.stdin:
    # A process of its own for each file, so that the memory of one is not there for the next.
    child = os.fork()
    if child == 0:
        print(json.dumps(read(line.strip())), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(json.dumps({"died": True}), flush=True)
"""

Read = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """Reads a file in a process of its own, and says what that cost."""
    with subprocess.Popen(
        [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        ask, answer = process.stdin, process.stdout

        def read(path: Path) -> dict[str, Any]:
            ask.write(f"{path}\n")
            ask.flush()
            found: dict[str, Any] = json.loads(answer.readline())
            return found

        yield read
        ask.close()


@pytest.mark.parametrize("kind", HOSTILE)
def test_refused_quickly(tmp_path: Path, read: Read, kind: str) -> None:
    data, message = HOSTILE[kind]
    path = tmp_path / "plan.yaml"
    path.write_bytes(data)
    result = read(path)
    assert any(message in each for each in result["messages"]), result["messages"][:5]
    assert result["megabytes"] < 100
    assert len(result["messages"]) <= 500
    assert result["longest"] < 2000
    # On a busy machine the same work takes more CPU time at one moment than at another.
    # Generous: what takes longer grows faster than the file does.
    assert result["seconds"] < 5


def test_the_measure_is_in_kilobytes() -> None:
    # ru_maxrss is in kilobytes on Linux; the limits above would mean nothing elsewhere.
    assert 5_000 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 50_000_000
