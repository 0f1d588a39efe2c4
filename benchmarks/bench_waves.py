"""Seconds between waves: from JOB_END of a wave's last job to StartRecovery of the next, from the simulator's log.

A chain of one-server waves without scripts runs on a real Airflow with the settings that the project ships, after
Airflow's own floor on the same processes (see ``floor.py``). Then a graph of twelve waves runs: how much longer than
its critical path, and how close together waves start that wait for the same. On SQLite, on PostgreSQL, or on both.

    python -m benchmarks.bench_waves [--waves 12] [--hops 6] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.figures import save, spread
from benchmarks.floor import DAG_IDS, LOG_VARIABLE, read_floor
from benchmarks.postgres import running_postgres
from tests.e2e.stack import RunLog, Stack

ROOT = Path(__file__).parents[1]
SPEED = 30


def chain_plan(waves: int) -> str:
    """A plan of waves that each depend on the one before."""
    lines = ["version: 1", "name: chain", "target: {region: us-west-2}", "waves:"]
    for number in range(waves):
        after = f"depends_on: [wave{number - 1:02}], " if number else ""
        lines.append(f"  - {{name: wave{number:02}, {after}servers: [{{id: {server_id(number)}}}]}}")
    return "\n".join(lines)


GRAPH: dict[str, tuple[str, ...]] = {
    **{f"first{side}": () for side in "abc"},
    **{f"second{side}": (f"first{side}",) for side in "abc"},
    "third-ab": ("seconda", "secondb"),
    "third-bc": ("secondb", "secondc"),
    "third-ca": ("secondc", "seconda"),
    "fourth": ("third-ab", "third-bc", "third-ca"),
    "fifth": ("fourth",),
    "sixth": ("fifth",),
}


def graph_plan(first_server: int) -> str:
    """A plan of the graph above, with one server a wave."""
    lines = ["version: 1", "name: graph", "target: {region: us-west-2}", "waves:"]
    for number, (name, needed) in enumerate(GRAPH.items(), first_server):
        lines.append(f"  - {{name: {name}, depends_on: [{', '.join(needed)}], servers: [{{id: {server_id(number)}}}]}}")
    return "\n".join(lines)


def server_id(number: int) -> str:
    return f"s-{number:017x}"


def scenario(waves: int) -> dict[str, Any]:
    """One server a wave. Phases differ, so that ends fall anywhere between the beats of Airflow's loops."""
    dice = random.Random(7)
    return {
        "region": "us-west-2",
        "servers": [
            {
                "id": server_id(number),
                "hostname": f"host{number}",
                "durations": {"conversion": dice.uniform(60, 90), "launch": dice.uniform(60, 120)},
            }
            for number in range(waves)
        ],
    }


def hop_parts(stack: Stack, run: str, seen: RunLog, before: str, after: str) -> dict[str, float]:
    """Cut the seconds between two waves where the simulator's log and Airflow show what was reached."""
    ended, started = seen.ended(before), seen.started(after)
    calls = [entry for entry in stack.simulator.log.read() if "operation" in entry and ended <= entry["t"] <= started]
    # The look-ups after the end of a job begin with its instances.
    noticed = min(entry["t"] for entry in calls if entry["operation"] == "DescribeRecoveryInstances")
    task = stack.api.task_instances("chain", run)[f"{after}.launch"]
    began = datetime.fromisoformat(task["start_date"].replace("Z", "+00:00")).timestamp()
    first = min(entry["t"] for entry in calls if entry["t"] > began)
    return {
        "the job's end is noticed": noticed - ended,
        "the next launch task starts": began - noticed,
        "its first call": first - began,
        "StartRecovery": started - first,
    }


def whole_run(seen: RunLog) -> dict[str, Any]:
    """Compare a run of the graph with its critical path: the longest way through the jobs' own durations."""
    paths: dict[str, list[str]] = {}
    lasting = {name: seen.ended(name) - seen.started(name) for name in GRAPH}

    def seconds(path: list[str]) -> float:
        return sum(lasting[name] for name in path)

    for name, needed in GRAPH.items():
        paths[name] = [*max((paths[one] for one in needed), key=seconds, default=[]), name]
    critical = max(paths.values(), key=seconds)
    took = max(map(seen.ended, GRAPH)) - min(map(seen.started, GRAPH))
    together = [seen.started(name) for name, needed in GRAPH.items() if not needed]
    return {
        "run, s": round(took, 1),
        "critical path, s": round(seconds(critical), 1),
        "waves on it": len(critical),
        "overhead a hop on it, s": round((took - seconds(critical)) / (len(critical) - 1), 2),
        "independent waves start within, s": round(max(together) - min(together), 2),
    }


def measure(database: str, waves: int, hops: int, folder: Path) -> dict[str, Any]:
    """Run the floor and the chain on one Airflow; return the figures."""
    settings = {LOG_VARIABLE: str(folder / "floor.jsonl"), "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        if database == "postgresql":
            address = stack.enter_context(running_postgres(folder / "postgres"))
            settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = address
        plans = {"chain": chain_plan(waves), "graph": graph_plan(waves)}
        built = Stack(folder / "stack", scenario(waves + len(GRAPH)), plans, SPEED, settings)
        built.airflow.dags_folder.mkdir(parents=True)
        floor = "from benchmarks.floor import floor_dag  # makes an airflow dag\n"
        floor += "".join(f"{dag_id} = floor_dag({dag_id!r}, {hops})\n" for dag_id in DAG_IDS)
        (built.airflow.dags_folder / "floor.py").write_text(floor)
        stack.enter_context(built.running())
        for dag_id in DAG_IDS:
            run = built.start(dag_id)
            built.wait(dag_id, run, timeout=hops * 30)
        whole, fired = read_floor(folder / "floor.jsonl")
        begun = time.time()
        run = built.start("chain")
        if built.wait("chain", run, timeout=waves * 60) != "success":
            raise SystemExit(f"the chain failed: {built.states('chain', run)}")
        seen = built.seen("chain", run)
        names = [f"wave{number:02}" for number in range(waves)]
        between = [seen.started(after) - seen.ended(before) for before, after in pairwise(names)]
        took = time.time() - begun
        parts = [hop_parts(built, run, seen, before, after) for before, after in pairwise(names)]
        run = built.start("graph")
        if built.wait("graph", run, timeout=240) != "success":
            raise SystemExit(f"the graph failed: {built.states('graph', run)}")
        graph = whole_run(built.seen("graph", run))
    print(f"{database}: between waves {' '.join(f'{seconds:.1f}' for seconds in between)}", file=sys.stderr)
    figures: dict[str, Any] = {
        "between waves, s": spread(between),
        "Airflow's floor: a deferred no-op hop, s": spread(whole),
        "Airflow's floor: from a trigger's firing to the next task, s": spread(fired),
        "where they go, medians": {
            name: round(statistics.median(part[name] for part in parts), 2) for name in parts[0]
        },
        "run of the chain, s": round(took, 1),
        "a graph of twelve waves": graph,
    }
    figures["ratio to a deferred no-op hop"] = round(
        figures["between waves, s"]["median"] / figures["Airflow's floor: a deferred no-op hop, s"]["median"], 2
    )
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--waves", type=int, default=12)
    parser.add_argument("--hops", type=int, default=6, help="hops of each chain of the floor")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    results = {}
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="drs-bench-") as folder:
            results[database] = measure(database, options.waves, options.hops, Path(folder))
    for database, figures in results.items():
        print(f"\n{database}")
        for name, value in figures.items():
            shown = (
                "  ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else str(value)
            )
            print(f"  {name:62}{shown}")
    for database, figures in results.items():
        save(f"waves-{database}", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
