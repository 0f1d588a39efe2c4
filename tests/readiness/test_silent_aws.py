"""Every command that asks AWS gives up one that is silent: one line, status 2, and nothing is claimed to be seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.commands import waiting

PLAN = "version: 1\nname: shop\ntarget: {region: us-west-2}\nwaves: [{name: web, servers: [{hostname: web01}]}]\n"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An endpoint that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        yield
    monkeypatch.setattr(waiting, "_abandoned", False)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    ("arguments", "nothing"),
    [
        (["check", "{plan}"], "Nothing was checked."),
        (["estimate", "{plan}"], "--scenario FILE estimates without an account"),
        (["orphans", "--region", "us-west-2"], "Nothing was looked at."),
        (["import", "--from", "drs-native", "--region", "us-west-2", "shop"], "Nothing was imported."),
        (["export", "{plan}", "--to", "drs-native"], "Nothing was changed."),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_silent_aws_ends_the_command(tmp_path: Path, arguments: list[str], nothing: str) -> None:
    (tmp_path / "shop.yaml").write_text(PLAN)
    words = [word.format(plan=tmp_path / "shop.yaml") for word in arguments]
    done = CliRunner().invoke(app, [*words, "--timeout", "1"])
    assert done.exit_code == 2, done.output
    # Before it, on a busy machine, that it asks.
    line = done.stderr.splitlines()[-1]
    assert "AWS gave no answer for 1 s: http://127.0.0.1:" in line
    assert nothing in line
    assert "0 servers" not in done.output
