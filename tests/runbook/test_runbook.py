"""The runbook of a plan: what stands in it, and that its commands recover the plan by hand."""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.plan import load_plan
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.runbook.content import Runbook, RunbookPlace, make_runbook
from drs_provider.runbook.html import render_html
from drs_provider.runbook.markdown import render_markdown
from drs_provider.simulator.plan_scenario import scenario_from_plan
from tests.simulator.test_aws_cli import program  # noqa: F401

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 28, 8, 0, tzinfo=timezone.utc)
_CLIENT = """\
import json, socket, sys
with socket.socket(socket.AF_UNIX) as to:
    to.connect(sys.argv[1])
    to.sendall(json.dumps(sys.argv[2:]).encode() + b"\\n")
    code, out, err = json.loads(to.makefile().readline())
sys.stdout.write(out); sys.stderr.write(err); sys.exit(code)
"""


def runbook_of(text: str, folder: Path, servers_per_job: int = 100, **counts: int) -> Runbook:
    """The runbook of a plan whose waves have so many servers."""
    path = folder / "plan.yaml"
    path.write_text(text)
    resolved = {
        wave: [ResolvedServer(f"s-{n:017x}", wave, f"<host{n}>", {}, True, None, "") for n in range(count)]
        for wave, count in counts.items()
    }
    loaded = load_plan(path)
    place = RunbookPlace(loaded.plan.default_target, None, [], servers_per_job)
    return make_runbook(loaded, resolved, [place], made=NOW, forecast=None, remarks=["x < y"])


PLAN = """
version: 1
name: night
target: {region: us-west-2}
contacts: [{name: Olga, role: database, phone: "+1 555 0100"}]
recovery: {approval: {approvers: [alice, bob], count: 2}}
waves:
  - {name: empty, servers: [{tags: {Tier: none}}]}
  - name: app-servers
    depends_on: [empty]
    approval: {approvers: [carol], message: "Is the database consistent?"}
    settle: 90s
    servers: [{tags: {Tier: app}}]
    min_launched: 50%
    pre_launch:
      - {name: only-in-drills, automation: Doc-Only, modes: [drill]}
    post_launch:
      - name: seize
        automation: Seize-Roles
        parameters: {Password: "{{connection:drs_secret_ad.password}}", Mode: test}
        parameters_by_mode: {recovery: {Mode: "it's on"}}
    health_checks: [{type: tcp, port: 5432}, {type: http, path: /healthz, expect: 204, via: ssm}]
"""


def test_a_runbook_says_who_what_and_in_which_order(tmp_path: Path) -> None:
    made = runbook_of(PLAN, tmp_path, servers_per_job=2, **{"empty": 0, "app-servers": 3})
    assert [chapter.name for chapter in made.chapters] == ["empty", "app-servers"]
    assert ("Approved by", "alice, bob (2 of them)") in made.facts
    empty, app_servers = made.chapters
    assert [part.commands for part in empty.parts] == [()]
    assert app_servers.start == "Start when empty is up."
    titles = [part.title for part in app_servers.parts]
    assert titles == [
        "Get the approval",
        "Launch the servers",
        "Wait until they are up",
        "Let them settle",
        "Run the script seize",
        "Check: tcp",
        "Check: http",
    ]
    launch, wait, script = (app_servers.parts[number] for number in (1, 2, 4))
    assert [command.split("=")[0] for command in launch.commands] == ["job_app_servers_1", "job_app_servers_2"]
    assert "At least 2 of 3 must say LAUNCHED" in wait.text[0]
    assert "LOOK_UP_THE_VALUE" in script.commands[0] and "Airflow keeps it in a connection" in script.text[-1]
    assert """"Mode": ["it'"'"'s on"]""" in script.commands[0], "the parameters of a recovery, quoted for a shell"
    assert "drs_secret_ad" not in render_markdown(made)


def test_pages_show_every_text_and_no_markup_of_theirs(tmp_path: Path) -> None:
    made = runbook_of(PLAN, tmp_path, empty=1, **{"app-servers": 1})
    page = render_html(made)
    assert "&lt;host0&gt;" in page and "<host0>" not in page
    for text in ("Olga", "+1 555 0100", "x &lt; y", made.plan_hash, "2026-11-28 08:00:00 UTC"):
        assert text in page
    for part in (*made.before, *(part for chapter in made.chapters for part in chapter.parts)):
        assert part.title in page and f"**{part.title}.**" not in page
        assert part.title in render_markdown(made)


def shell_of(markdown: str) -> str:
    """The commands of a runbook, one after the other."""
    return "".join(re.findall(r"^```sh\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL))


class _Relay(socketserver.ThreadingUnixStreamServer):
    """Hands the words of a command to the one process of the AWS CLI."""

    daemon_threads = True

    def __init__(self, path: str, cli: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self.cli, self.environment, self.one = cli, environment, threading.Lock()
        super().__init__(path, _Ask)


class _Ask(socketserver.StreamRequestHandler):
    server: _Relay

    def handle(self) -> None:
        words, cli = json.loads(self.rfile.readline()), self.server.cli
        assert cli.stdin is not None and cli.stdout is not None
        with self.server.one:
            print(json.dumps([words, self.server.environment]), file=cli.stdin, flush=True)
            answer = cli.stdout.readline()
        self.wfile.write(answer.encode())


@pytest.fixture
def relay(program: subprocess.Popen[str], tmp_path: Path, drs_simulator_server: Any) -> Iterator[Path]:  # noqa: F811
    environment = {**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_REGION": "us-west-2"}
    environment["AWS_DEFAULT_REGION"] = "us-west-2"
    path = tmp_path / "aws.sock"
    with _Relay(str(path), program, environment) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["three-tier-web"])
def test_the_commands_recover_the_plan(name: str, drs_simulator_server: Any, relay: Path, tmp_path: Path) -> None:
    """bash and the AWS CLI do what the document says, without Airflow; the simulator's log judges the order."""
    simulator, plan = drs_simulator_server, ROOT / "plans" / f"{name}.yaml"
    loaded = load_plan(plan)
    simulator.load(scenario_from_plan(loaded), speed=600)
    done = CliRunner().invoke(app, ["runbook", str(plan), "--format", "md", "--timeout", "300"])
    assert done.exit_code == 0, done.output
    (tmp_path / "client.py").write_text(_CLIENT)
    functions = (
        f'aws() {{ {sys.executable} -S -E {tmp_path / "client.py"} {relay} "$@"; }}\n'
        "sleep() { command sleep 0.2; }\nset -e\n"
    )
    by_hand = subprocess.run(
        ["bash", "-c", functions + shell_of(done.stdout)], capture_output=True, text=True, timeout=900, check=False
    )
    assert by_hand.returncode == 0, by_hand.stdout + by_hand.stderr
    assert "Failed" not in by_hand.stdout and "FAILED" not in by_hand.stdout
    log = simulator.log
    starts = [entry for entry in log if entry.get("operation") == "StartRecovery"]
    assert [call["params"]["isDrill"] for call in starts] == [False] * len(loaded.plan.waves)
    launched = [server["sourceServerID"] for call in starts for server in call["params"]["sourceServers"]]
    assert len(launched) == len(set(launched)) == len(scenario_from_plan(loaded)["servers"])
    ends = [entry["t"] for entry in log if entry.get("event") == "JOB_END"]
    assert all(end <= start["t"] for end, start in zip(ends, starts[1:], strict=False)), "each wave after the last"
    sent = [entry["params"]["DocumentName"] for entry in log if entry.get("operation") == "SendCommand"]
    assert len(sent) == 2, "the script, and the check that asks the instance itself"


def test_a_plan_that_cannot_be_read_and_an_aws_that_refuses_write_nothing(tmp_path: Path, drs_simulator: Any) -> None:
    (tmp_path / "broken.yaml").write_text("version: 1\n")
    done = CliRunner().invoke(app, ["runbook", str(tmp_path / "broken.yaml")])
    assert (done.exit_code, done.stdout, "Nothing was written" in done.stderr) == (2, "", True)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    out = tmp_path / "runbook.html"
    drs_simulator.load({"region": "us-west-2", "servers": [{"id": f"s-{1:017x}", "hostname": "one"}]})
    done = CliRunner().invoke(app, ["runbook", str(path), "--out", str(out)])
    assert (done.exit_code, "No servers were found for: empty, app-servers" in done.stderr) == (1, True)
    assert "No server was found for this wave" in out.read_text()


HOME, PAYMENTS = "123456789012", "210987654321"
IN_ACCOUNTS = """
version: 1
name: night
target: {region: us-west-2}
targets:
  payments: {region: us-west-2, aws_conn_id: aws_payments, account: "210987654321"}
  tokyo: {region: ap-northeast-1, aws_conn_id: aws_payments}
  source: {region: us-east-1}
waves:
  - name: ledger
    target: payments
    servers: [{tags: {Tier: ledger}}]
    pre_launch: [{name: fence, automation: Shop-Fence, target: source}]
  - {name: web, depends_on: [ledger], servers: [{tags: {Tier: web}}]}
  - {name: far, target: tokyo, servers: [{tags: {Tier: far}}]}
"""
PLACES = {"ledger": (PAYMENTS, "us-west-2"), "web": (HOME, "us-west-2"), "far": (PAYMENTS, "ap-northeast-1")}


def test_each_wave_says_its_account_and_region_and_acts_there(
    tmp_path: Path, drs_simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bash does what the document says; what stands in for ``aws`` notes which account and region it is asked in."""
    servers = {
        name: {"id": f"s-{number:017x}", "hostname": name, "tags": {"Tier": name}}
        for number, name in enumerate(PLACES, 1)
    }
    role = f"arn:aws:iam::{PAYMENTS}:role/recovery"
    drs_simulator.load(
        {
            "region": "us-west-2",
            "servers": [servers["web"]],
            "accounts": [
                {"account": PAYMENTS, "servers": [servers["ledger"]]},
                {"account": PAYMENTS, "region": "ap-northeast-1", "servers": [servers["far"]]},
            ],
            "roles": [role],
        }
    )
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", json.dumps({"conn_type": "aws", "extra": {"role_arn": role}}))
    path = tmp_path / "plan.yaml"
    path.write_text(IN_ACCOUNTS)
    done = CliRunner().invoke(app, ["runbook", str(path), "--format", "md", "--aws-conn-id", "plan"])
    assert done.exit_code == 0, done.output
    assert f"In account {PAYMENTS}, region ap-northeast-1 (target tokyo)." in done.stdout
    assert f"It runs in account {HOME}, region us-east-1 (target source)." in done.stdout
    stub = """
aws() {
  case "$AWS_PROFILE" in aws_default) account=123456789012;; aws_payments) account=210987654321;; esac
  case "$1 $2" in
    "sts get-caller-identity") echo $account;;
    "drs start-recovery"|"ssm start-automation-execution") echo "$account $AWS_REGION $*" >> "$ACTED"; echo job;;
    "drs describe-jobs") echo COMPLETED;;
    *) echo Success;;
  esac
}
sleep() { :; }
set -e
"""
    acted = tmp_path / "acted"

    def by_hand(script: str) -> str:
        shell = ["bash", "-c", script + shell_of(done.stdout)]
        told = subprocess.run(
            shell, capture_output=True, text=True, timeout=60, check=True, env={"ACTED": str(acted), "PATH": "/bin"}
        )
        return told.stdout

    assert "STOP" not in by_hand(stub)
    lines = [line.split(" ", 3) for line in acted.read_text().splitlines()]
    starts = [((account, region), text) for account, region, service, text in lines if service == "drs"]
    assert [(place, text.split("sourceServerID=")[1].split()[0]) for place, text in starts] == [
        (PLACES[name], servers[name]["id"]) for name in ("ledger", "far", "web")
    ]
    assert [line[:2] for line in lines if line[2] == "ssm"] == [[HOME, "us-east-1"]], "the script, where it says"
    # Where a profile leads elsewhere, the document says so before each wave.
    assert f"THIS IS NOT ACCOUNT {PAYMENTS}: STOP" in by_hand(stub.replace("account=210987654321", "account=1"))
