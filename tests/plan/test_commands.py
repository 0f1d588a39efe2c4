"""drs-plan validate, graph and schema: output, exit codes, and how little they import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drs_provider.cli import app

PLAN = "version: 1\nname: shop\ntarget: {region: us-west-2}\nwaves: [{name: a, servers: [{hostname: h}]}]\n"
BROKEN = PLAN + "drill:\n  terminate: allways, % of %0A\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_valid_files_exit_0_and_are_named(folder: Path) -> None:
    (folder / "shop.yaml").write_text(PLAN)
    result = run("validate", "shop.yaml")
    assert (result.exit_code, result.stdout) == (0, "valid shop.yaml: shop, 1 wave\n")


def test_the_path_of_a_valid_file_is_shown_as_it_is(folder: Path) -> None:
    """Brackets and colons are markup to rich: the one was left out, the other ended the command."""
    (folder / "a[").mkdir()
    for path in ("[old] shop.yaml", ":warning:.yaml", "a[/b].yaml"):
        (folder / path).write_text(PLAN)
        result = run("validate", path)
        assert (result.exit_code, result.stdout) == (0, f"valid {path}: shop, 1 wave\n")


def test_problems_exit_1_and_show_the_line_with_a_caret(folder: Path) -> None:
    (folder / "shop.yaml").write_text(BROKEN)
    result = run("validate", "shop.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("shop.yaml:6:14 drill.terminate: expected always, on_success or never, found")
    assert lines[1:3] == [
        "    6 |   terminate: allways, % of %0A",
        "      |              ^^^^^^^^^^^^^^^^^",
    ]
    assert lines[-1] == "1 problem in 1 of 1 file"


def test_the_caret_stands_under_the_mistake_behind_wide_characters(folder: Path) -> None:
    (folder / "shop.yaml").write_text(PLAN + "tags: [東京, 東京]\n", encoding="utf-8")
    lines = run("validate", "shop.yaml").stdout.splitlines()
    assert lines[1:3] == ["    5 | tags: [東京, 東京]", "      |              ^^^^"]


def test_without_a_path_the_folder_plans_is_checked_across_files(folder: Path) -> None:
    (folder / "plans").mkdir()
    for file in ("shop.yaml", "copy.yml"):
        (folder / "plans" / file).write_text(PLAN)
    result = run("validate")
    assert result.exit_code == 1
    assert "the name shop belongs to the plan in plans/shop.yaml" in result.stdout
    assert "valid plans/shop.yaml" in result.stdout


def test_several_paths_are_checked_against_each_other_and_once_each(folder: Path) -> None:
    for file in ("a.yaml", "b.yaml"):
        (folder / file).write_text(PLAN)
    assert "names are unique over all plan files" in run("validate", "a.yaml", "b.yaml").stdout
    (folder / "sub").mkdir()
    assert run("validate", "a.yaml", "a.yaml", "sub/../a.yaml").exit_code == 0


def test_json_has_the_documented_keys(folder: Path) -> None:
    (folder / "shop.yaml").write_text(BROKEN)
    result = run("validate", "shop.yaml", "--format", "json")
    (problem,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert list(problem) == ["file", "line", "column", "path", "message", "severity"]
    assert (problem["file"], problem["line"], problem["column"]) == ("shop.yaml", 6, 14)
    (folder / "shop.yaml").write_text(PLAN)
    assert json.loads(run("validate", "shop.yaml", "--format", "json").stdout) == []


def test_github_annotations_are_escaped(folder: Path) -> None:
    (folder / "a,b:c.yaml").write_text(BROKEN)
    result = run("validate", "a,b:c.yaml", "--format", "github")
    (line,) = result.stdout.splitlines()
    assert result.exit_code == 1
    assert line.startswith("::error file=a%2Cb%3Ac.yaml,line=6,col=14,title=Recovery plan::drill.terminate: expected")
    assert "%25 of %250A" in line


def test_control_characters_do_not_reach_the_terminal(folder: Path) -> None:
    (folder / "shop.yaml").write_text(PLAN + 'owner: ["\\e[31mred"]\n"\\e[2J": x\n')
    result = run("validate", "shop.yaml")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    "arguments", [["nope.yaml"], ["empty"], ["--format", "xml", "shop.yaml"], ["--nope"], ["n" * 300]]
)
def test_what_cannot_run_exits_2_on_stderr(folder: Path, arguments: list[str]) -> None:
    (folder / "empty").mkdir()
    (folder / "shop.yaml").write_text(PLAN)
    result = run("validate", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


WAVES = """waves:
  - {name: db, servers: [{hostname: a}], launch_timeout: 1h, retries: 0}
  - {name: cache, servers: [{hostname: b}], launch_timeout: 10m, retries: 0}
  - {name: end, depends_on: [db, cache], servers: [{hostname: c}], launch_timeout: 30m, retries: 1}
"""
DIAMOND = PLAN.replace("waves: [{name: a, servers: [{hostname: h}]}]\n", WAVES)


def test_graph_as_text(folder: Path) -> None:
    (folder / "shop.yaml").write_text(DIAMOND)
    result = run("graph", "shop.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "shop",
        "level 0",
        "  * db     1 selector, ≤ 1h",
        "    cache  1 selector, ≤ 10m",
        "level 1",
        "  * end    1 selector, ≤ 1h  after db, cache",
        "* critical path: db → end, at most 2h with every attempt used",
    ]


def test_graph_as_json(folder: Path) -> None:
    (folder / "shop.yaml").write_text(DIAMOND)
    graph = json.loads(run("graph", "shop.yaml", "--format", "json").stdout)
    assert graph["levels"] == [["db", "cache"], ["end"]]
    assert graph["critical_path"] == {"waves": ["db", "end"], "longest_seconds": 7200}
    assert graph["waves"][2] == {"name": "end", "depends_on": ["db", "cache"], "longest_seconds": 3600}


def test_graph_as_mermaid_does_not_use_names_as_ids(folder: Path) -> None:
    (folder / "shop.yaml").write_text(DIAMOND)
    lines = run("graph", "shop.yaml", "--format", "mermaid").stdout.splitlines()
    assert lines[:6] == ["flowchart LR", '  w0["db"]', '  w1["cache"]', '  w2["end"]', "  w0 --> w2", "  w1 --> w2"]
    assert "  class w0,w2 critical" in lines


def test_graph_as_dot(folder: Path) -> None:
    (folder / "shop.yaml").write_text(DIAMOND)
    drawn = run("graph", "shop.yaml", "--format", "dot").stdout
    assert drawn.startswith('digraph "shop" {')
    assert '  "db" -> "end" [penwidth=2];\n  "cache" -> "end";\n}' in drawn


def test_graph_of_a_broken_plan_exits_1_on_stderr_and_of_none_2(folder: Path) -> None:
    (folder / "shop.yaml").write_text(BROKEN)
    broken, none = run("graph", "shop.yaml"), run("graph", "nope.yaml")
    assert run("graph", "n" * 300).exit_code == 2
    assert (broken.exit_code, broken.stdout) == (1, "")
    assert "did you mean" in broken.stderr or "expected always" in broken.stderr
    assert (none.exit_code, none.stdout) == (2, "")


def test_schema_is_json(folder: Path) -> None:
    assert json.loads(run("schema").stdout)["title"] == "Recovery plan"


HEAVY = ("airflow", "boto3", "botocore", "aiobotocore", "moto", "jinja2", "sqlalchemy")
CHILD = """
import sys
from drs_provider.cli import main
sys.argv = ["drs-plan", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["validate"], ["graph"], ["schema"]])
def test_neither_airflow_nor_an_aws_library_is_imported(folder: Path, command: list[str]) -> None:
    (folder / "shop.yaml").write_text(PLAN + "drill: {schedule: '@daily', timezone: Europe/Vienna}\n")
    path = [] if command == ["schema"] else ["shop.yaml"]
    done = subprocess.run([sys.executable, "-c", CHILD, *command, *path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = done.stderr.split()
    assert "pydantic" in imported
    assert not set(HEAVY).intersection(imported)


def test_a_terminal_that_knows_no_umlauts_shows_the_rest(folder: Path) -> None:
    (folder / "shop.yaml").write_text(PLAN + "tags: [é, é]\n", encoding="utf-8")
    command = [sys.executable, "-c", "from drs_provider.cli import main; main()", "validate", "shop.yaml"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1, done.stderr
    assert b"tag ? is here twice" in done.stdout


def test_what_was_not_expected_exits_2_and_not_1_which_is_an_answer(folder: Path) -> None:
    command = [sys.executable, "-c", "from drs_provider.cli import main; main()", "schema"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "drs-plan: [Errno 28] No space left on device" in done.stderr
    code = "from drs_provider import cli; cli.app = lambda: 1 / 0; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr


def test_importing_the_command_line_imports_no_models() -> None:
    code = "import sys, drs_provider.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*HEAVY, "pydantic", "yaml", "croniter"}.intersection(done.stdout.split())
