"""Where the seconds of ``make demo`` go, from Enter to the first wave's launch, in a .venv that is there.

    python -m benchmarks.bench_demo [--times 3] [--python PYTHON]

The first of several runs may find nothing cached; it is shown, and left out of the medians.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.figures import save
from drs_provider.rehearsal.simulator_process import EventLog

PLAN = "plans/three-tier-web.yaml"
SPEED = "30"
DAG_ID = "three-tier-web"


def epoch(text: str) -> float:
    """Airflow's SQLite holds times in UTC without an offset."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def one_demo(python: str, folder: Path) -> dict[str, float]:
    """Run the demo up to its first launch; return seconds since Enter at which things were reached."""
    log = EventLog(folder / "simulator.jsonl")
    home = folder / "home"
    command = [str(Path(python).parent / "drs-plan"), "rehearse", PLAN, "--speed", SPEED, "--log", str(log.path)]
    command += ["--airflow-home", str(home), "--reports", str(folder / "reports")]
    enter = time.time()
    reached: dict[str, float] = {}
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("Starting Airflow"):
                reached["plan and scenario are read"] = time.time()
            if line.startswith("Airflow: "):
                reached["the DAG is there"] = time.time()
                break
        while not log.calls("StartRecovery"):
            if process.poll() is not None:
                raise SystemExit(f"the demo ended with {process.returncode} before its first launch")
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
    reached["the simulator's first call"] = log.read()[0]["t"]
    reached["first launch"] = log.calls("StartRecovery")[0]["t"]
    migrated = home / "logs" / "migrate.log"
    if migrated.exists():
        reached["the database is made"] = migrated.stat().st_mtime
    with sqlite3.connect(home / "airflow.db") as database:
        tasks = "SELECT task_id, start_date, end_date FROM task_instance WHERE dag_id = ? AND start_date IS NOT NULL"
        for task, start, end in database.execute(tasks, (DAG_ID,)):
            if task in ("confirm", "preflight"):
                reached[f"{task} begins"] = epoch(start)
                if end:
                    reached[f"{task} ends"] = epoch(end)
        (queued,) = database.execute("SELECT queued_at FROM dag_run WHERE dag_id = ?", (DAG_ID,)).fetchone()
        reached["the run is started"] = epoch(queued)
    return {name: round(at - enter, 1) for name, at in sorted(reached.items(), key=lambda item: item[1])}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="the Python of the .venv that is shown")
    options = parser.parse_args()
    demos = []
    for number in range(options.times):
        with tempfile.TemporaryDirectory(prefix="drs-bench-", ignore_cleanup_errors=True) as folder:
            demos.append(one_demo(options.python, Path(folder)))
        print(f"demo {number + 1}: " + ", ".join(f"{name} {at}" for name, at in demos[-1].items()), flush=True)
    warm = demos[1:] or demos
    names = [name for name in warm[-1] if all(name in demo for demo in warm)]
    medians = {name: round(statistics.median(demo[name] for demo in warm), 1) for name in names}
    print("\nseconds after Enter, medians")
    for name, at in medians.items():
        print(f"  {name:32}{at:6.1f}")
    save("demo", {"seconds after Enter": medians, "demos": demos})
    return 0


if __name__ == "__main__":
    sys.exit(main())
