"""500 plans read in one process: milliseconds a plan, and the share of the file, YAML, validation, hash, and positions.

Run: ``make bench-plans``. Prints a table, and exits with 1 when a limit is not kept:

- a plan is read in less than 5 ms (median and 99th percentile, in CPU time, so that a busy machine does not decide);
- a worker finds its plan among 500 in less than 50 ms, whether the file is called as the plan or not.

Positions are kept by the same pass that reads the YAML, and looked up only for files with problems: their share is what
explaining one problem costs on top.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from drs_provider.plan import PlanError, RecoveryPlan, find_plan, load_plan, plan_hash, read_plans
from drs_provider.plan.document import read_document

PLANS = 500
LIMIT_MS = 5.0
FIND_LIMIT_MS = 50.0
EXAMPLES = Path(__file__).parents[1] / "plans"


def folder_of_plans(folder: Path, called_as_plan: bool) -> list[Path]:
    """500 plans: the examples, each many times under names of its own. A file is called as its plan, or by a number."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))]
    names = [path.stem for path in sorted(EXAMPLES.glob("*.yaml"))]
    files = []
    for number in range(PLANS):
        which = number % len(texts)
        name = f"{names[which]}-{number}"
        path = folder / (f"{name}.yaml" if called_as_plan else f"{number:03}.yaml")
        path.write_text(texts[which].replace(f"name: {names[which]}\n", f"name: {name}\n", 1), encoding="utf-8")
        files.append(path)
    return files


def milliseconds(step: Callable[[], object]) -> float:
    """The CPU time of one call."""
    start = time.process_time()
    step()
    return (time.process_time() - start) * 1000


def explain_one_problem(data: bytes, path: Path) -> None:
    """Read a plan whose last line is wrong."""
    path.write_bytes(data + b"unknown: key\n")
    try:
        load_plan(path)
    except PlanError:
        return
    raise SystemExit("a plan with an unknown key was accepted")


def main() -> int:
    """Print the table; 0 if every limit is kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "called")
        other = Path(name, "numbered")
        folder.mkdir()
        other.mkdir()
        files = folder_of_plans(folder, called_as_plan=True)
        folder_of_plans(other, called_as_plan=False)
        first = milliseconds(lambda: load_plan(files[0]))
        whole = [milliseconds(lambda path=path: load_plan(path)) for path in files]  # type: ignore[misc]
        data = [path.read_bytes() for path in files]
        reading = [milliseconds(path.read_bytes) for path in files]
        yaml_ms = [milliseconds(lambda each=each: read_document(each)) for each in data]  # type: ignore[misc]
        values = [document.root.value for document in map(read_document, data) if document.root is not None]
        validation = [milliseconds(lambda each=each: RecoveryPlan.model_validate(each)) for each in values]  # type: ignore[misc]
        plans = [RecoveryPlan.model_validate(value) for value in values]
        hashes = [milliseconds(lambda plan=plan: plan_hash(plan)) for plan in plans]  # type: ignore[misc]
        broken = Path(name, "broken.yaml")
        explained = [milliseconds(lambda each=each: explain_one_problem(each, broken)) for each in data]  # type: ignore[misc]
        everything = milliseconds(lambda: read_plans(folder))
        wanted = sorted(read_plans(folder).plans)[:: PLANS // 50]
        find_called = [milliseconds(lambda plan=plan: find_plan(folder, plan)) for plan in wanted]  # type: ignore[misc]
        find_numbered = [milliseconds(lambda plan=plan: find_plan(other, plan)) for plan in wanted]  # type: ignore[misc]

    total = statistics.median(whole)
    print(f"{PLANS} plans of {sum(map(len, data)) // PLANS} bytes on average; CPU milliseconds")
    print(f"{'':34}{'median':>8}{'p99':>8}{'share':>8}")
    parts = {"load_plan": whole, "  the file": reading, "  YAML": yaml_ms, "  validation": validation, "  hash": hashes}
    for title, spent in parts.items():
        share = f"{statistics.median(spent) / total:>8.0%}"
        print(f"{title:34}{statistics.median(spent):>8.2f}{p99(spent):>8.2f}{share}")
    extra = statistics.median(explained) - total
    print(f"{'  positions, in a broken plan only':34}{extra:>8.2f}{'':>8}{extra / total:>8.0%}")
    print(f"{'find_plan, file called as the plan':34}{statistics.median(find_called):>8.2f}{p99(find_called):>8.2f}")
    print(f"{'find_plan, any file name':34}{statistics.median(find_numbered):>8.2f}{p99(find_numbered):>8.2f}")
    print(f"first plan of the process {first:.1f}, read_plans of the folder {everything:.0f}")
    kept = p99(whole) < LIMIT_MS and total < LIMIT_MS and max(p99(find_called), p99(find_numbered)) < FIND_LIMIT_MS
    print(
        f"limits {'kept' if kept else 'NOT kept'}: a plan below {LIMIT_MS:g} ms, find_plan below {FIND_LIMIT_MS:g} ms"
    )
    return 0 if kept else 1


def p99(spent: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(spent, n=100)[98]


if __name__ == "__main__":
    sys.exit(main())
