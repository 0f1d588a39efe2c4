"""Large and many: a plan of 1,000 servers in 60 waves, and 50 plans drilled in one night, each run to its end.

Both run on a real Airflow with the settings that the project ships. From the simulator's log: that every server was
launched once and every wave after those that it depends on; that no more than 20 jobs and 500 servers were in progress
at any moment; and, for the large plan, the seconds that a wave costs after 10, 30 and 60 of them.

    python -m benchmarks.bench_scale large [--waves 60] [--servers 1000]
    python -m benchmarks.bench_scale night [--plans 50] [--servers 12]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import save
from tests.e2e.stack import RunLog, Stack

SIDE_BY_SIDE = 3
QUOTA_JOBS, QUOTA_SERVERS = 20, 500


def server_id(number: int) -> str:
    return f"s-{number:017x}"


def scenario(servers: int, spread: int) -> dict[str, Any]:
    """Servers that take a minute each, so that the run is the orchestrator's time above all."""
    return {
        "region": "us-west-2",
        "servers": [
            {
                "id": server_id(number),
                "hostname": f"host{number}",
                "durations": {"preparation": 10, "conversion": 30 + number % spread, "launch": 60, "terminate": 30},
            }
            for number in range(servers)
        ],
    }


def plan_text(name: str, waves: Mapping[str, tuple[Sequence[str], Sequence[int]]]) -> str:
    lines = ["version: 1", f"name: {name}", "target: {region: us-west-2}", "waves:"]
    for wave, (needed, servers) in waves.items():
        lines.append(f"  - name: {wave}\n    depends_on: [{', '.join(needed)}]\n    servers:")
        lines += [f"      - id: {server_id(number)}" for number in servers]
    return "\n".join(lines)


def widest(log: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the most jobs and servers in progress at a time, from the calls that were accepted and the jobs' ends."""
    held: dict[str, int] = {}
    starts = [one for one in log if one.get("operation") == "StartRecovery" and not one.get("error")]
    # A job's own log begins with its servers' snapshots; the call that started it names how many they are.
    servers_of = {
        s["sourceServerID"]: len(c["params"]["sourceServers"]) for c in starts for s in c["params"]["sourceServers"]
    }
    most_jobs = most_servers = 0
    for one in log:
        if one.get("event") == "SNAPSHOT_START" and one.get("server") in servers_of:
            held.setdefault(one["job"], servers_of[one["server"]])
        elif one.get("event") == "JOB_END":
            held.pop(one["job"], None)
        most_jobs, most_servers = max(most_jobs, len(held)), max(most_servers, sum(held.values()))
    return {"jobs at a time": most_jobs, "servers at a time": most_servers}


def judge(seen: RunLog, waves: Mapping[str, tuple[Sequence[str], Sequence[int]]]) -> None:
    """Raise SystemExit where a server was not launched once, or a wave began too early."""
    launched = seen.launches()
    for wave, (needed, servers) in waves.items():
        if sorted(launched.get(wave, ())) != sorted(map(server_id, servers)):
            raise SystemExit(f"wave {wave} launched {launched.get(wave)}")
        for before in needed:
            if seen.started(wave) < seen.ended(before):
                raise SystemExit(f"wave {wave} began before {before} had ended")


def check_quotas(figures: Mapping[str, Any]) -> None:
    if figures["jobs at a time"] > QUOTA_JOBS or figures["servers at a time"] > QUOTA_SERVERS:
        raise SystemExit(f"over the quotas: {figures}")


def large(waves: int, servers: int, folder: Path) -> dict[str, Any]:
    """One plan: levels of three waves, each wave after two of the level before."""
    plan: dict[str, tuple[list[str], list[int]]] = {}
    for number in range(waves):
        level, side = divmod(number, SIDE_BY_SIDE)
        needed = [f"l{level - 1:02}-{one}" for one in (side, (side + 1) % SIDE_BY_SIDE)] if level else []
        plan[f"l{level:02}-{side}"] = (needed, list(range(number, servers, waves)))
    stack = Stack(folder, scenario(servers, 20), {"large": plan_text("large", plan)}, speed=60)
    with stack.running():
        begun = time.time()
        run = stack.start("large")
        state = stack.wait("large", run, timeout=1500)
        took = time.time() - begun
        if state != "success":
            raise SystemExit(f"the large plan failed: {stack.states('large', run)}")
        seen = stack.seen("large", run)
        log = list(stack.simulator.log.read())
    judge(seen, plan)
    first = min(map(seen.started, plan))
    ends = [seen.ended(wave) for wave in plan]
    hops = [seen.started(wave) - max(map(seen.ended, needed)) for wave, (needed, _) in plan.items() if needed]
    figures: dict[str, Any] = {"servers": servers, "waves": waves, "run, s": round(took, 1), **widest(log)}
    for count in (10, 30, 60):
        if count <= waves:
            figures[f"seconds a wave, {count} waves"] = round((max(ends[:count]) - first) / count, 2)
    third = len(hops) // 3
    figures["seconds between waves, first third"] = round(statistics.median(hops[:third]), 2)
    figures["seconds between waves, last third"] = round(statistics.median(hops[-third:]), 2)
    check_quotas(figures)
    return figures


def night(plans: int, servers: int, folder: Path) -> dict[str, Any]:
    """Many plans of two waves, all started at once: more jobs and servers than the quotas allow at a time."""
    made = {}
    for number in range(plans):
        mine = list(range(number * servers, (number + 1) * servers))
        half = len(mine) // 2
        made[f"night-{number:02}"] = {"first": ([], mine[:half]), "second": (["first"], mine[half:])}
    texts = {name: plan_text(name, waves) for name, waves in made.items()}
    stack = Stack(folder, scenario(plans * servers, 60), texts, speed=30)
    with stack.running():
        for name in made:
            stack.airflow.wait_for_dag(name, timeout=120)
        begun = time.time()
        runs = {name: stack.api.trigger(name) for name in made}
        states = {name: stack.wait(name, run, timeout=1500) for name, run in runs.items()}
        took = time.time() - begun
        bad = sorted(name for name, state in states.items() if state != "success")
        if bad:
            raise SystemExit(f"{len(bad)} of {plans} failed: {bad[:5]}, {stack.states(bad[0], runs[bad[0]])}")
        for name, run in runs.items():
            judge(stack.seen(name, run), made[name])
        log = list(stack.simulator.log.read())
    figures = {"plans": plans, "servers": plans * servers, "all runs, s": round(took, 1), **widest(log)}
    refused = [one for one in log if one.get("operation") == "StartRecovery" and one.get("error")]
    figures["StartRecovery refused"] = len(refused)
    check_quotas(figures)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shapes = parser.add_subparsers(dest="shape", required=True)
    one = shapes.add_parser("large")
    one.add_argument("--waves", type=int, default=60)
    one.add_argument("--servers", type=int, default=1000)
    many = shapes.add_parser("night")
    many.add_argument("--plans", type=int, default=50)
    many.add_argument("--servers", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drs-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if options.shape == "large":
            figures = large(options.waves, options.servers, folder)
        else:
            figures = night(options.plans, options.servers, folder)
    for title, value in figures.items():
        print(f"  {title:40}{value}")
    save(f"scale-{options.shape}", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
