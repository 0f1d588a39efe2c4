"""CPU milliseconds that a parse costs a DAG: plans of 5 waves with 4 tasks each, 1 to 500 of them in a folder.

Three ways make a DAG for each of N recovery procedures, each in a process of its own whose imports are done:

- ``plans``: plan files, by this package, as the dag-processor parses them: once as new files, once unchanged;
- ``floor``: the same tasks, groups, edges and parameters, built by Python code with no file at all;
- ``dag-factory``: equivalent YAML by dag-factory 1.1: the same graph of this package's public operators, with the same
  run parameters, but for what it cannot say (forms of the parameters, a page for the DAG); and, as ``empty``, the same
  graph with nothing but EmptyOperators, the lightest there are.

And what a worker pays before each task: the parse of one plan among N. Last, what is imported to parse, by Python's
``-X importtime``.

    python -m benchmarks.bench_parsing [--plans 1 10 100 500]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import save

ROOT = Path(__file__).parents[1]
DAGS = ROOT / "dags"
WAVES = 5
FOREIGN = ("boto3", "botocore", "aiobotocore", "moto", "airflow.providers.amazon.aws", "drs_provider.simulator")


def plan_text(number: int) -> str:
    lines = ["version: 1", f"name: plan-{number:03}", "description: Five tiers, one after the other"]
    lines += ["target: {region: us-west-2}", "objectives: {rto: 45m, rpo: 5m}", "waves:"]
    for wave in range(WAVES):
        lines += [f"  - name: wave{wave}", "    description: One tier of the application"]
        lines += [f"    depends_on: [wave{wave - 1}]"] if wave else []
        lines += [f"    servers: [{{id: s-{number * WAVES + wave:017x}}}]", "    pre_launch:"]
        lines += ["      - name: fence", "        automation: Shop-Fence", "        parameters: {Tier: [one]}"]
        lines += ["    health_checks: [{type: ssm_online}]"]
    return "\n".join(lines) + "\n"


def empty_text(number: int) -> str:
    return dag_factory_text(number, empty_only=True)


def dag_factory_text(number: int, *, empty_only: bool = False) -> str:
    """The same graph for dag-factory, of this package's public operators, with the same run parameters."""
    empty = {"operator": "airflow.providers.standard.operators.empty.EmptyOperator"}
    region = {"region_name": "us-west-2"}
    groups: dict[str, Any] = {}
    tasks: dict[str, Any] = {"confirm": dict(empty), "preflight": {**empty, "dependencies": ["confirm"]}}
    for wave in range(WAVES):
        groups[f"wave{wave}"] = {"tooltip": "One tier of the application"}
        launched = f"{{{{ ti.xcom_pull('wave{wave}.wave{wave}_launch') }}}}"
        steps: dict[str, dict[str, Any]] = {
            "fence": {
                "operator": "drs_provider.operators.automation.SsmAutomationOperator",
                "document_name": "Shop-Fence",
                "parameters": {"Tier": ["one"]},
            },
            "launch": {
                "operator": "drs_provider.operators.drs.DrsStartRecoveryOperator",
                "servers": [f"s-{number * WAVES + wave:017x}"],
            },
            "wait_for_launch": {"operator": "drs_provider.sensors.drs.DrsJobSensor", "job_ids": launched},
            "health": {"operator": "drs_provider.sensors.health.SsmAgentOnlineSensor", "instances": launched},
        }
        before = f"wave{wave - 1}_health" if wave else "preflight"
        for step, details in steps.items():
            task = f"wave{wave}_{step}"
            given = empty if empty_only else {**details, **region}
            tasks[task] = {**given, "task_group_name": f"wave{wave}", "dependencies": [before]}
            tasks[task] |= {"trigger_rule": "none_failed"}
            tasks[task] |= {} if empty_only or step == "launch" else {"deferrable": True}
            before = task
    end = {
        "operator": "drs_provider.operators.drs.DrsTerminateRecoveryInstancesOperator",
        "of_this_run": True,
        **region,
    }
    tasks["terminate"] = {**(empty if empty_only else end), "dependencies": [before]}
    tasks["report"] = {**empty, "dependencies": ["terminate"]}
    parameters = {"mode": "drill", "confirm": "", "waves": [], "snapshot_time": None}
    parameters |= {"skip_scripts": False, "keep_drill_instances": False, "override": None}
    dag = {
        "description": "Five tiers, one after the other",
        "default_args": {"owner": "platform-dr", "start_date": "2026-01-01", "retries": 3},
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["drs"],
        "params": parameters,
        "task_groups": groups,
        "tasks": tasks,
    }
    import yaml

    return yaml.safe_dump({f"plan-{number:03}": dag}, sort_keys=False)


def floor_dag(number: int, loaded: Any) -> Any:
    """Build what a plan of the benchmark becomes, as a person would by hand; ``loaded`` is only handed to the tasks."""
    from datetime import timedelta

    from airflow.sdk import DAG, TaskGroup, TriggerRule

    from drs_provider.dag.params import run_params
    from drs_provider.plan.steps import steps_of
    from drs_provider.runs.alarm import deadlines
    from drs_provider.runs.notify import notify_wave_failed
    from drs_provider.steps.confirm.task import ConfirmRun
    from drs_provider.steps.health.task import CheckHealth
    from drs_provider.steps.launch.task import LaunchWave
    from drs_provider.steps.preflight.task import Preflight
    from drs_provider.steps.report.task import WriteReport
    from drs_provider.steps.script.task import RunScript
    from drs_provider.steps.terminate.task import TerminateDrill
    from drs_provider.steps.wait_for_launch.task import WaitForLaunch

    plan = loaded.plan
    with DAG(
        dag_id=f"plan-{number:03}",
        description="Five tiers, one after the other",
        doc_md="## A page",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        max_active_tasks=256,
        tags=["drs"],
        deadline=deadlines(plan),
        default_args={"owner": "airflow", "retries": 3, "retry_delay": timedelta(seconds=5)},
        auto_register=False,
    ) as dag:
        confirm = ConfirmRun(task_id="confirm", loaded=loaded)
        before: Any = Preflight(task_id="preflight", loaded=loaded)
        confirm >> before
        for wave in plan.waves:
            common = {"loaded": loaded, "wave": wave, "trigger_rule": TriggerRule.NONE_FAILED}
            common["on_failure_callback"] = notify_wave_failed
            with TaskGroup(wave.name, tooltip=wave.description):
                check = wave.health_checks[0]
                fence = RunScript.of(next(steps_of(wave)), task_id="pre_launch.fence", **common)
                launch = LaunchWave(task_id="launch", **common)
                wait = WaitForLaunch(task_id="wait_for_launch", **common)
                health = CheckHealth(check=check, task_id="health.ssm_online", **common)
                before >> fence >> launch >> wait >> health
            before = health
        terminate = TerminateDrill(task_id="terminate", loaded=loaded).as_teardown(on_failure_fail_dagrun=True)
        report = WriteReport(task_id="report", loaded=loaded).as_teardown(on_failure_fail_dagrun=True)
        before >> terminate >> report
    dag.params = run_params(plan)
    return dag


def cpu_ms(step: Callable[[], Any]) -> float:
    """The least CPU time of several calls: what others do on the machine only adds to it."""
    times = []
    while len(times) < 3 or sum(times) < 0.5:
        begun = time.process_time()
        step()
        times.append(time.process_time() - begun)
    return min(times) * 1000


def measured(way: str, folder: Path, count: int) -> dict[str, float]:
    """Run in a process of its own; the first DAG brings in what is imported on first use, and is not counted."""
    import logging

    logging.disable(logging.CRITICAL)
    if way == "dag-factory":
        from dagfactory import load_yaml_dags

        warm = folder.parent / "warm"
        load_yaml_dags(globals_dict={}, dags_folder=str(warm))
        dags: dict[str, Any] = {}
        ms = cpu_ms(lambda: load_yaml_dags(globals_dict=dags, dags_folder=str(folder)))
        built = [dag for name, dag in dags.items() if name.startswith("plan-")]
    elif way == "floor":
        from drs_provider.plan import read_plans

        loaded = list(read_plans(folder).plans.values())
        floor_dag(0, loaded[0])
        built = [floor_dag(number, plan) for number, plan in enumerate(loaded)]
        gc.disable()  # As this package does while it parses.
        ms = cpu_ms(lambda: [floor_dag(number, plan) for number, plan in enumerate(loaded)])
    else:
        from drs_provider.dag import recovery_dags

        os.environ["AIRFLOW__DRS_PROVIDER__PLANS_FOLDER"] = str(folder.parent / "warm")
        recovery_dags(DAGS)
        os.environ["AIRFLOW__DRS_PROVIDER__PLANS_FOLDER"] = str(folder)
        if way == "one":
            from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
            from airflow.sdk.definitions.context import get_current_context  # noqa: F401

            def parse_one() -> Any:
                with _airflow_parsing_context_manager(dag_id=f"plan-{count // 2:03}", task_id="confirm"):
                    return recovery_dags(DAGS)

            return {"ms": cpu_ms(parse_one), "dags": len(parse_one()), "tasks": 24}
        from drs_provider.plan import loading

        def parse_all() -> dict[str, Any]:
            if way == "new":
                loading._READ.clear()
            return recovery_dags(DAGS)

        built = list(parse_all().values())
        ms = cpu_ms(parse_all)
    return {"ms": ms / count, "dags": len(built), "tasks": len(built[0].tasks)}


def in_child(python: Path | str, way: str, folder: Path, count: int, home: Path) -> float:
    """Return the CPU milliseconds a DAG, measured by a child process."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [str(python), "-m", "benchmarks.bench_parsing", "--child", way, str(folder), str(count)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{way} of {count} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    figures = json.loads(done.stdout.splitlines()[-1])
    expected = 1 if way == "one" else count
    if figures["dags"] != expected or figures["tasks"] != 4 + 4 * WAVES:
        raise SystemExit(f"{way} of {count} built something else: {figures}")
    return float(figures["ms"])


def dag_factory_python(folder: Path) -> Path:
    """Make an environment with dag-factory over this one; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next((folder / "lib").glob("python3*/site-packages"))
    here = next(path for path in sys.path if path.endswith("site-packages"))
    # As a site folder, so that what is installed there in editable form is found as well.
    (packages / "airflow.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--prefix", str(folder)]
    subprocess.run([*install, "--requirement", str(ROOT / "constraints" / "dag-factory.txt")], check=True)
    return python


def imports(python: Path | str, parse: str, home: Path) -> dict[str, Any]:
    """Return what a parse imports on top of Airflow, with ``-X importtime``.

    :param parse: the program that parses.
    """
    program = (
        "import airflow.sdk.execution_time.task_runner, runpy, sys; before = set(sys.modules)\n"
        f"sys.stderr.write('PARSE\\n')\n{parse}\n"
        f"new = sorted(set(sys.modules) - before); foreign = [name for name in {FOREIGN!r} if name in new]\n"
        "import json; print(json.dumps({'modules': len(new), 'foreign': foreign}))\n"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False"}
    command = [str(python), "-X", "importtime", "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=ROOT)
    timed = []
    for line in done.stderr.partition("PARSE\n")[2].splitlines():
        if line.startswith("import time:"):
            own, total, name = line.removeprefix("import time:").split("|")
            timed.append((int(total), len(name) - len(name.lstrip()), name.strip(), int(own)))
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    top = [(total, name) for total, indent, name, _ in timed if indent == 1]
    found["ms"] = round(sum(own for *_, own in timed) / 1000)
    found["slowest"] = [f"{name} {total / 1000:.0f} ms" for total, name in sorted(top, reverse=True)[:5]]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plans", type=int, nargs="+", default=[1, 10, 100, 500])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, folder, count = options.child
        print(json.dumps(measured(way, Path(folder), int(count))))
        return 0
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="drs-bench-") as name:
        base = Path(name)
        factory = dag_factory_python(base / "venv")
        for count in options.plans:
            folders = {}
            for kind, text in (("plans", plan_text), ("dag-factory", dag_factory_text), ("empty", empty_text)):
                for folder, numbers in ((f"{kind}-{count}/plans", range(count)), (f"{kind}-{count}/warm", [999])):
                    (base / folder).mkdir(parents=True)
                    for number in numbers:
                        (base / folder / f"plan-{number:03}.yaml").write_text(text(number))
                folders[kind] = base / f"{kind}-{count}" / "plans"
            home = base / f"home-{count}"
            ways: dict[str, tuple[Path | str, str, Path]] = {
                "plans, new": (sys.executable, "new", folders["plans"]),
                "plans, unchanged": (sys.executable, "unchanged", folders["plans"]),
                "floor": (sys.executable, "floor", folders["plans"]),
                "dag-factory": (factory, "dag-factory", folders["dag-factory"]),
                "dag-factory, empty": (factory, "dag-factory", folders["empty"]),
                "one, in a worker": (sys.executable, "one", folders["plans"]),
            }
            # A child of few DAGs is over within a second: in turns, so that a busy second is not one way's alone.
            rounds = [
                {title: in_child(python, way, folder, count, home) for title, (python, way, folder) in ways.items()}
                for _ in range(3 if count <= 10 else 1)
            ]
            row = {title: min(each[title] for each in rounds) for title in ways}
            row["ratio to floor, new"] = row["plans, new"] / row["floor"]
            row["ratio to floor"] = row["plans, unchanged"] / row["floor"]
            row["dag-factory to plans, new"] = row["dag-factory"] / row["plans, new"]
            row["dag-factory to plans"] = row["dag-factory"] / row["plans, unchanged"]
            row["dag-factory, empty, to plans, new"] = row["dag-factory, empty"] / row["plans, new"]
            rows[count] = {title: round(value, 2) for title, value in row.items()}
            print(f"{count}: {rows[count]}", file=sys.stderr, flush=True)
        warm, home = options.plans[0], base / "home-import"
        os.environ["AIRFLOW__DRS_PROVIDER__PLANS_FOLDER"] = str(base / f"plans-{warm}" / "plans")
        ours = f"runpy.run_path({str(DAGS / 'recovery_plans.py')!r})"
        theirs = "from dagfactory import load_yaml_dags\n"
        theirs += f"load_yaml_dags(globals_dict={{}}, dags_folder={str(base / f'dag-factory-{warm}' / 'plans')!r})"
        imported = {
            "imports of the DAG file": imports(sys.executable, ours, home),
            "imports of dag-factory's": imports(factory, theirs, home),
        }
    print("CPU milliseconds a DAG of 24 tasks" + "".join(f"{count:>9}" for count in rows))
    for title in next(iter(rows.values())):
        print(f"{title:34}" + "".join(f"{row[title]:>9.2f}" for row in rows.values()))
    for title, found in imported.items():
        print(f"{title}: {found}")
    save("parsing", {"CPU ms a DAG": rows, **imported})
    return 0


if __name__ == "__main__":
    sys.exit(main())
