"""What 1 to 1,000 deferred waits cost in one process: the shared poller, or a client and a waiter for each trigger.

Both ways wait for the same kind of jobs of one server each, in one process with one event loop, as in a triggerer.
``shared`` is this package's DrsJobTrigger. ``provider`` is the amazon provider's own way, AwsBaseWaiterTrigger with the
same hook: it only learns that a job has ended, while the other also reads the logs and judges the servers, with three
calls a job at its end. Told are API calls (from the simulator's log), DescribeJobs a minute and all, CPU and memory of
the waiting process, and how long after its job's end a wait ends.

    python -m benchmarks.bench_waiting [--waits 1 20 200 1000] [--speed 10] [--delay 10] [--way shared]

The clock of the jobs is ``--speed`` times faster than AWS, so the poller's adaptive interval is shorter here than in
earnest: `--speed 1` takes ten minutes a way and shows fewer calls. Exits with 1 where a wait fails, or where the shared
poller asks DescribeJobs as often as the other way or more for 20 waits or more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.figures import save

WAYS = ("shared", "provider")
QUOTAS = {"L-D88FAC3A": 5000, "L-05AFA8C6": 5000}


def server_id(number: int) -> str:
    return f"s-{number:017d}"


def triggers(way: str, job_ids: list[str], delay: int) -> list[Any]:
    from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger

    from drs_provider.hooks.drs import DrsHook
    from drs_provider.triggers.drs import DrsJobTrigger

    class JobWaiterTrigger(AwsBaseWaiterTrigger):
        aws_hook_class = DrsHook

    if way == "shared":
        return [
            DrsJobTrigger(job_ids=[one], timeout=3600, aws_conn_id=None, region_name="us-west-2") for one in job_ids
        ]
    return [
        JobWaiterTrigger(
            serialized_fields={"job_id": one},
            waiter_name="job_completed",
            waiter_args={"filters": {"jobIDs": [one]}},
            failure_message="failed",
            status_message="status",
            status_queries=["items[].status"],
            return_value=one,
            waiter_delay=delay,
            waiter_max_attempts=1000,
            aws_conn_id=None,
            region_name="us-west-2",
        )
        for one in job_ids
    ]


async def wait_for_all(way: str, job_ids: list[str], delay: int) -> dict[str, float]:
    """Return when each job's wait ended, in epoch seconds."""
    ended: dict[str, float] = {}

    async def one(job_id: str, trigger: Any) -> None:
        async for event in trigger.run():
            payload = event.payload
            if payload != "success" and payload.get("status") != "success":
                raise RuntimeError(f"{job_id}: {payload}")
            ended[job_id] = time.time()

    await asyncio.gather(*map(one, job_ids, triggers(way, job_ids, delay)))
    return ended


def waiting_process(way: str, delay: int) -> None:
    """The process that is measured: jobs come from standard input, the measurements go to standard output."""
    import logging

    job_ids = json.load(sys.stdin)
    triggers(way, job_ids[:1], delay)
    logging.disable(logging.CRITICAL)
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.time()
    ended = asyncio.run(wait_for_all(way, job_ids, delay))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"begun": begun, "cpu": cpu, "megabytes": (after.ru_maxrss - before.ru_maxrss) / 1024, "ended": ended}
    print("FIGURES " + json.dumps(figures))


def measure(simulator: Any, way: str, waits: int, speed: float, delay: int) -> dict[str, float]:
    import boto3

    # Ends are spread over time, as those of real servers are.
    servers = [
        {
            "id": server_id(i),
            "hostname": f"host{i}",
            "durations": {"conversion": 120 + 180 * i / waits, "launch": 200 + 150 * i / waits},
        }
        for i in range(waits)
    ]
    simulator.load({"servers": servers, "quotas": QUOTAS}, speed=speed)
    simulator.clear_log()
    drs = boto3.client("drs", region_name="us-west-2")
    # To start a thousand jobs takes longer than some of them last.
    simulator.freeze()
    jobs = [drs.start_recovery(sourceServers=[{"sourceServerID": server_id(i)}])["job"]["jobID"] for i in range(waits)]
    simulator.resume()
    command = [sys.executable, "-m", "benchmarks.bench_waiting", "--waiting-process", way, "--delay", str(delay)]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    if done.returncode or not lines:
        raise SystemExit(f"{way}: the waiting process failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    figures = json.loads(lines[0].removeprefix("FIGURES "))
    seconds = max(figures["ended"].values()) - figures["begun"]
    calls = Counter(
        entry["operation"] for entry in simulator.log if entry.get("operation") and entry["t"] >= figures["begun"]
    )
    job_ends = {entry["job"]: entry["t"] for entry in simulator.log if entry.get("event") == "JOB_END"}
    late = sorted(figures["ended"][job] - job_ends[job] for job in jobs)
    print(f"{waits} waits, {way}: {seconds:.0f} s, calls {dict(calls.most_common())}", file=sys.stderr, flush=True)
    return {
        "polls a minute": calls["DescribeJobs"] / seconds * 60,
        "all calls": sum(calls.values()),
        "CPU, % of a core": figures["cpu"] / seconds * 100,
        "CPU ms a wait": figures["cpu"] * 1000 / waits,
        "memory, MB": figures["megabytes"],
        "memory, KB a wait": figures["megabytes"] * 1024 / waits,
        "late, median s": late[len(late) // 2],
        "late, p95 s": late[int(len(late) * 0.95)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--waits", type=int, nargs="+", default=[1, 20, 200, 1000])
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--delay", type=int, default=10, help="seconds between two looks of the provider's waiter")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--waiting-process", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.waiting_process:
        waiting_process(options.waiting_process, options.delay)
        return 0
    from drs_provider.simulator.remote import SimulatorProcess

    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIRFLOW_HOME"] = folder
        simulator = SimulatorProcess(Path(folder) / "log.jsonl")
        os.environ.update(simulator.environment)
        try:
            for waits in options.waits:
                for way in [options.way] if options.way else WAYS:
                    figures = measure(simulator, way, waits, options.speed, options.delay)
                    results.setdefault(str(waits), {})[way] = {name: round(value, 2) for name, value in figures.items()}
        finally:
            simulator.stop()
    columns = [(waits, way) for waits, ways in results.items() for way in ways]
    print("waits".ljust(20) + "".join(waits.rjust(12) for waits, _ in columns))
    print("way".ljust(20) + "".join(way.rjust(12) for _, way in columns))
    for name in next(iter(next(iter(results.values())).values())):
        print(name.ljust(20) + "".join(f"{results[waits][way][name]:12.1f}" for waits, way in columns))
    if options.way:
        return 0
    save("waiting", results)
    polls = "polls a minute"
    return int(
        any(int(waits) >= 20 and one["shared"][polls] >= one["provider"][polls] for waits, one in results.items())
    )


if __name__ == "__main__":
    sys.exit(main())
