"""An endpoint that does not answer: progress, one line, exit status 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.readiness import side_by_side
from tests.cases.world import CASES, Case, of


@pytest.mark.parametrize("command", ["check"])
def test_a_silent_endpoint_is_given_up(tmp_path: Path, command: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        env = {**os.environ, "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        arguments = [command, str(CASES / "short-timeout" / "plan.yaml"), "--timeout", "3"]
        result = subprocess.run(
            [sys.executable, "-c", "from drs_provider.cli import main; main()", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert result.returncode == 2
    assert result.stdout == ""
    *progress, last = result.stderr.strip().splitlines()
    assert progress[0].startswith(f"asking AWS ({address}): 0 answers in ")
    assert last == f"AWS gave no answer for 3 s: {address}. Nothing was checked."


@of("short-timeout")
def test_servers_that_could_not_be_read_are_not_told_as_none(case: Case) -> None:
    original = BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: Any) -> Any:
        if operation == "DescribeSourceServers":
            raise EndpointConnectionError(endpoint_url="https://drs.us-west-2.amazonaws.com")
        return original(client, operation, parameters)

    case.monkeypatch.setattr(BaseClient, "_make_api_call", call)
    case.monkeypatch.setattr(side_by_side, "PATIENCE", ())
    result = CliRunner().invoke(app, ["check", str(case.folder / "plan.yaml")])
    assert result.exit_code == 2
    assert "0 servers" not in result.output
    assert "Nothing was checked." in result.output
