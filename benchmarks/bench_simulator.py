"""Twenty clients at once against 300 servers: no lost job, no wrong state, and how long a call takes.

Every client drills its own 15 servers by unmodified boto3, polls as orchestrators do, tries to launch a neighbour's
server (which must be refused while its job runs), and terminates what it launched. What the simulator says at the
end is compared with what the clients were told, and with the simulator's own log.

    python benchmarks/bench_simulator.py [--clients 20] [--servers 300] [--rate 44] [--processes 4]

Each client pauses so long between its polls that all together make ``--rate`` calls a second where the simulator takes
no time; 1000 shows what it can do at most.

The clients are spread over processes: boto3 needs some 8 ms of CPU for a call, and twenty in one interpreter would wait
for each other and not for the simulator.

Exits with 1 where a job is lost, a state is wrong, or the 99th percentile of a call is 100 ms or more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from drs_provider.simulator.remote import SimulatorProcess

LIMIT_MS = 100.0
CALLS_A_POLL = 3


def client(endpoint_url: str, service: str) -> Any:
    return boto3.Session().client(
        service,
        region_name="us-west-2",
        endpoint_url=endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


@dataclass
class Account:
    """What one client did and was told."""

    servers: list[str]
    latencies: list[tuple[str, float]] = field(default_factory=list)
    job_id: str = ""
    terminate_id: str = ""
    instances: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Orchestrator(threading.Thread):
    """One client: a drill of its own servers, from start to termination."""

    def __init__(self, drs: Any, servers: list[str], neighbour: str, start: Any, seed: int, pause: float) -> None:
        super().__init__()
        self.drs = drs
        self.servers = servers
        self.neighbour = neighbour
        self.barrier = start
        self.random = random.Random(seed)
        self.pause = pause
        self.account = Account(servers)

    def call(self, operation: str, **request: Any) -> Any:
        began = time.perf_counter()
        try:
            return getattr(self.drs, operation)(**request)
        finally:
            self.account.latencies.append((operation, (time.perf_counter() - began) * 1000))

    def run(self) -> None:
        self.drs.describe_jobs()  # A client's first call is slow by itself: it reads its own endpoint rules.
        self.barrier.wait()
        time.sleep(self.random.uniform(0.0, self.pause))
        try:
            self.drill()
        except Exception as error:
            self.account.problems.append(f"{type(error).__name__}: {error}")

    def drill(self) -> None:
        account = self.account
        started = self.call("start_recovery", isDrill=True, sourceServers=[{"sourceServerID": s} for s in self.servers])
        account.job_id = started["job"]["jobID"]
        time.sleep(self.pause + 1.0)  # The neighbour's job has been accepted, too, where the machine is not overloaded.
        try:
            self.call("start_recovery", isDrill=True, sourceServers=[{"sourceServerID": self.neighbour}])
            account.problems.append(f"{self.neighbour} was launched twice")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise
        job = self.poll(account.job_id)
        wrong = [s for s in job["participatingServers"] if s["launchStatus"] != "LAUNCHED"]
        if wrong or len(job["participatingServers"]) != len(self.servers):
            account.problems.append(f"{account.job_id} ended with {wrong or job['participatingServers']}")
        filters = {"sourceServerIDs": self.servers}
        found = self.call("describe_recovery_instances", filters=filters)["items"]
        account.instances = {item["sourceServerID"]: item["recoveryInstanceID"] for item in found}
        ended = self.call("terminate_recovery_instances", recoveryInstanceIDs=list(account.instances.values()))
        account.terminate_id = ended["job"]["jobID"]
        self.poll(account.terminate_id)
        left = self.call("describe_recovery_instances", filters=filters)["items"]
        if left:
            account.problems.append(f"{len(left)} instances left after {account.terminate_id}")

    def poll(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.call("describe_jobs", filters={"jobIDs": [job_id]})["items"][0]
            self.call("describe_job_log_items", jobID=job_id)
            self.call("describe_source_servers", filters={"sourceServerIDs": self.servers})
            if job["status"] == "COMPLETED":
                return job
            time.sleep(self.pause * self.random.uniform(0.6, 1.4))


def work(
    endpoint_url: str, numbers: list[int], ids: list[str], share: int, pause: float, barrier: Any, done: Any
) -> None:
    """Be some of the clients, in a process of their own."""
    clients = len(ids) // share
    orchestrators = [
        Orchestrator(
            client(endpoint_url, "drs"),
            ids[n * share : (n + 1) * share],
            ids[(n + 1) % clients * share],
            barrier,
            seed=n,
            pause=pause,
        )
        for n in numbers
    ]
    for one in orchestrators:
        one.start()
    for one in orchestrators:
        one.join()
    done.put([one.account for one in orchestrators])


def verify(simulator: SimulatorProcess, orchestrators: list[Account]) -> list[str]:
    """What is wrong at the end, by the simulator's own account."""
    problems = [problem for one in orchestrators for problem in one.problems]
    drs, ec2 = client(simulator.endpoint_url, "drs"), client(simulator.endpoint_url, "ec2")
    jobs = {job["jobID"]: job for page in drs.get_paginator("describe_jobs").paginate() for job in page["items"]}
    told = {job_id for one in orchestrators for job_id in (one.job_id, one.terminate_id)}
    if set(jobs) != told:
        problems.append(f"jobs lost or made up: {set(jobs) ^ told}")
    instances = [one for orchestrator in orchestrators for one in orchestrator.instances.values()]
    servers = sum(len(one.servers) for one in orchestrators)
    if len(set(instances)) != servers:
        problems.append(f"{len(set(instances))} instances for {servers} servers")
    states = Counter(
        instance["State"]["Name"]
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )
    if states != {"terminated": servers}:
        problems.append(f"EC2 has {dict(states)}")
    events = Counter((entry["event"], entry["server"]) for entry in simulator.log if "event" in entry)
    for one in orchestrators:
        for server in one.servers:
            problems += [
                f"{server} has {events[event, server]} times {event}"
                for event in ("SNAPSHOT_START", "SNAPSHOT_END", "CONVERSION_START", "CONVERSION_END", "LAUNCH_END")
                if events[event, server] != 1
            ]
    if events["JOB_START", None] != len(told) or events["JOB_END", None] != len(told):
        problems.append(
            f"{events['JOB_START', None]} JOB_START and {events['JOB_END', None]} JOB_END for {len(told)} jobs"
        )
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--servers", type=int, default=300)
    parser.add_argument("--rate", type=float, default=44.0, help="calls a second of all clients together")
    parser.add_argument("--speed", type=float, default=40.0)
    parser.add_argument("--processes", type=int, default=4, help="of the clients; 1: all in one")
    options = parser.parse_args()
    ids = [f"s-{number:017x}" for number in range(options.servers)]
    share = options.servers // options.clients
    with tempfile.TemporaryDirectory() as folder:
        simulator = SimulatorProcess(Path(folder) / "log.jsonl", speed=options.speed)
        try:
            simulator.load({"servers": [{"id": one, "hostname": f"host-{n:03d}"} for n, one in enumerate(ids)]})
            context = multiprocessing.get_context("spawn")
            barrier, done = context.Barrier(options.clients + 1), context.Queue()
            workers = [
                context.Process(
                    target=work,
                    args=(
                        simulator.endpoint_url,
                        list(range(n, options.clients, options.processes)),
                        ids[: share * options.clients],
                        share,
                        CALLS_A_POLL * options.clients / options.rate,
                        barrier,
                        done,
                    ),
                )
                for n in range(options.processes)
            ]
            for one in workers:
                one.start()
            load = os.getloadavg()[0]
            barrier.wait()
            began = time.perf_counter()
            orchestrators = [account for _ in workers for account in done.get()]
            took = time.perf_counter() - began
            for one in workers:
                one.join()
            problems = verify(simulator, orchestrators)
            lines = sum(1 for line in (Path(folder) / "log.jsonl").read_text().splitlines() if json.loads(line))
        finally:
            simulator.stop()
    latencies = sorted(ms for one in orchestrators for _, ms in one.latencies)
    p99 = statistics.quantiles(latencies, n=100)[98]
    print(f"{options.clients} clients in {options.processes} processes, {share * options.clients} servers")
    print(f"{len(latencies)} calls in {took:.1f} s: {len(latencies) / took:.0f} a second; load before {load:.1f}")
    print(f"log lines {lines}, problems {len(problems)}")
    print(f"call p50 {statistics.median(latencies):.1f} ms, p99 {p99:.1f} ms, longest {latencies[-1]:.1f} ms")
    by_operation: dict[str, list[float]] = {}
    for one in orchestrators:
        for operation, ms in one.latencies:
            by_operation.setdefault(operation, []).append(ms)
    for operation, values in sorted(by_operation.items()):
        print(
            f"  {operation}: {len(values)} calls, p50 {statistics.median(values):.1f} ms, longest {max(values):.1f} ms"
        )
    for problem in problems[:20]:
        print(f"WRONG: {problem}")
    if p99 >= LIMIT_MS:
        print(f"TOO SLOW: p99 {p99:.1f} ms, the limit is {LIMIT_MS:.0f} ms")
    return 1 if problems or p99 >= LIMIT_MS else 0


if __name__ == "__main__":
    sys.exit(main())
