"""Large and many: a plan of 1,000 servers in 60 waves, and 50 plans drilled in one night, each run to its end.

Both run on a real Airflow with the settings that the project ships. From the simulator's log: that every server was
launched once and every wave after those that it depends on; that no more than 20 jobs and 500 servers were in progress
at any moment; and, for the large plan, the seconds that a wave costs after 10, 30 and 60 of them.

    python -m benchmarks.bench_scale large [--waves 60] [--servers 1000] [--abreast 3] [--speed 60]
    python -m benchmarks.bench_scale night [--plans 50] [--servers 12] [--speed 5]

The night is pressed into minutes by ``--speed``: too fast, and jobs end before the machine has started twenty of them.
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
    """Return the most jobs, those that end instances included, and the most servers in jobs at a time."""
    members: dict[str, set[str]] = {}
    for one in log:
        if one.get("event") and one.get("server"):
            members.setdefault(one["job"], set()).add(one["server"])
    held: dict[str, int] = {}
    most_jobs = most_servers = 0
    for one in log:
        if one.get("event") == "JOB_START":
            held[one["job"]] = len(members.get(one["job"], ()))
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


def large(waves: int, servers: int, abreast: int, speed: float, folder: Path) -> dict[str, Any]:
    """One plan: levels of so many waves abreast, each wave after two of the level before."""
    plan: dict[str, tuple[list[str], list[int]]] = {}
    for number in range(waves):
        level, side = divmod(number, abreast)
        needed = dict.fromkeys(f"l{level - 1:02}-{one:02}" for one in (side, (side + 1) % abreast)) if level else []
        plan[f"l{level:02}-{side:02}"] = (list(needed), list(range(number, servers, waves)))
    stack = Stack(folder, scenario(servers, 20), {"large": plan_text("large", plan)}, speed=speed)
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
    figures: dict[str, Any] = {
        "servers": servers,
        "waves": waves,
        "waves abreast": abreast,
        "run, s": round(took, 1),
        **widest(log),
    }
    for count in (10, 30, 60):
        if count <= waves:
            figures[f"seconds a wave, {count} waves"] = round((max(ends[:count]) - first) / count, 2)
    third = len(hops) // 3
    figures["seconds between waves, first third"] = round(statistics.median(hops[:third]), 2)
    figures["seconds between waves, last third"] = round(statistics.median(hops[-third:]), 2)
    check_quotas(figures)
    return figures


def night(plans: int, servers: int, speed: float, folder: Path) -> dict[str, Any]:
    """Many plans of two waves, all started at once: more jobs than the quota allows at a time."""
    made = {}
    for number in range(plans):
        mine = list(range(number * servers, (number + 1) * servers))
        half = len(mine) // 2
        made[f"night-{number:02}"] = {"first": ([], mine[:half]), "second": (["first"], mine[half:])}
    texts = {name: plan_text(name, waves) for name, waves in made.items()}
    stack = Stack(folder, scenario(plans * servers, 60), texts, speed=speed)
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
        waited = []
        for name, run in runs.items():
            seen = stack.seen(name, run)
            judge(seen, made[name])
            waited += [seen.started("first") - begun, seen.started("second") - seen.ended("first")]
        log = list(stack.simulator.log.read())
    figures = {"plans": plans, "servers": plans * servers, "all runs, s": round(took, 1), **widest(log)}
    figures["longest time before a launch, s"] = round(max(waited), 1)
    figures["the same, minutes of AWS"] = round(max(waited) * speed / 60, 1)
    figures["DescribeJobs a minute"] = round(sum(one.get("operation") == "DescribeJobs" for one in log) / took * 60)
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
    one.add_argument("--abreast", type=int, default=3)
    one.add_argument("--speed", type=float, default=60)
    many = shapes.add_parser("night")
    many.add_argument("--plans", type=int, default=50)
    many.add_argument("--servers", type=int, default=12)
    many.add_argument("--speed", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drs-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if options.shape == "large":
            figures = large(options.waves, options.servers, options.abreast, options.speed, folder)
        else:
            figures = night(options.plans, options.servers, options.speed, folder)
    for title, value in figures.items():
        print(f"  {title:40}{value}")
    save(f"scale-{options.shape}", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
