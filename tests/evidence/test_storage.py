"""Reports on disk and in S3, and the commands that read them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drs_provider.commands.history import sparkline
from drs_provider.evidence import storage
from drs_provider.evidence.storage import (
    UnreadableReport,
    existing_report_folder,
    read_file,
    read_report,
    report_folder,
    reports_of,
    safe_name,
    write_files,
    write_report,
)
from drs_provider.live.model import LiveWait
from drs_provider.live.writing import write_live


def test_a_report_is_written_and_read_again(drill: Any, tmp_path: Path) -> None:
    record = drill.record()
    written = write_report(record, str(tmp_path / "reports"))
    folder = tmp_path / "reports" / "three-tier-web" / safe_name(record.run.run_id)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "summary.md"]
    assert read_report(str(folder)) == record
    assert read_report(str(folder / "report.json")) == record
    assert str(written).endswith(folder.name)


def test_the_json_comes_last(drill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = storage.write_whole
    monkeypatch.setattr(storage, "write_whole", lambda root, name, text: (order.append(name), write(root, name, text)))
    write_report(drill.record(), str(tmp_path))
    assert order[-1] == "report.json"


def test_a_report_cut_short_is_never_seen(drill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Path, text: str, encoding: str | None = None) -> int:
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", cut)
    with pytest.raises(OSError, match="No space"):
        write_report(drill.record(), str(tmp_path / "reports"))
    assert [path for path in (tmp_path / "reports").rglob("*") if path.is_file()] == []


def test_run_ids_become_names_that_never_meet() -> None:
    assert safe_name("manual__1") == "manual__1"
    one, other = safe_name("a:b"), safe_name("a+b")
    assert one != other
    assert one.startswith("a-b-")
    for hostile in ("../../etc", "..", "", "a/b", "\u202e", "x" * 500):
        name = safe_name(hostile)
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert len(name) < 140


def test_a_run_id_cannot_be_chosen_to_share_the_folder_of_another_run() -> None:
    other = "scheduled__2026-11-21T06:00:00+00:00"
    name = safe_name(other)
    assert safe_name(name) != name
    assert safe_name(safe_name(name)) != safe_name(name)
    assert safe_name("drill-before-audit") == "drill-before-audit"


def test_a_report_of_an_earlier_version_is_found_if_it_is_of_this_run(drill: Any, tmp_path: Path) -> None:
    record = drill.record()
    run_id = record.run.run_id
    clean, digest = re.sub("[^A-Za-z0-9._-]+", "-", run_id), sha256(run_id.encode()).hexdigest()[:8]
    earlier = tmp_path / "three-tier-web" / f"{clean}-{digest}"
    write_files(record, str(earlier))
    assert existing_report_folder(str(tmp_path), "three-tier-web", run_id) == str(earlier)
    # Somebody may have chosen a run id that is the very name of that folder.
    assert existing_report_folder(str(tmp_path), "three-tier-web", earlier.name) != str(earlier)
    stored = write_report(record, str(tmp_path))
    assert existing_report_folder(str(tmp_path), "three-tier-web", run_id) == stored.folder.removeprefix("file://")


def test_history_lists_runs_by_time_and_passes_over_the_unreadable(drill: Any, tmp_path: Path) -> None:
    for number, start in ((1, 30), (2, 10), (3, 20)):
        drill.facts.update(run_id=f"z{4 - number}", started=f"2026-11-21T10:59:{start}+00:00")
        write_report(drill.record(), str(tmp_path))
    (tmp_path / "three-tier-web" / "broken").mkdir()
    (tmp_path / "three-tier-web" / "broken" / "report.json").write_text('{"schema_version": 9}')
    (tmp_path / "three-tier-web" / "being-written").mkdir()
    records, problems = reports_of("three-tier-web", str(tmp_path))
    assert [record.run.run_id for record in records] == ["z2", "z1", "z3"]
    assert len(problems) == 1
    assert "broken" in problems[0]
    assert reports_of("another", str(tmp_path)) == ([], [])


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(UnreadableReport, match=r"report\.json is not a report"):
        read_report(str(tmp_path))


class TestReportCommand:
    def test_makes_the_pages_again(self, drill: Any, tmp_path: Path, run: Any) -> None:
        folder = Path(str(write_report(drill.record(), str(tmp_path))).removeprefix("file://"))
        before = (folder / "report.html").read_text()
        (folder / "report.html").unlink()
        (folder / "summary.md").unlink()
        result = run("report", folder)
        assert result.exit_code == 0, result.output
        assert (folder / "report.html").read_text() == before
        assert (folder / "summary.md").exists()

    def test_the_pages_name_the_digest_of_the_evidence(self, drill: Any, tmp_path: Path, run: Any) -> None:
        stored = write_report(drill.record(), str(tmp_path))
        folder = Path(stored.folder.removeprefix("file://"))
        evidence = folder / "report.json"
        for changed in (False, True):
            if changed:
                # Another version wrote it otherwise; what is checked is the file as it lies there.
                evidence.write_text(json.dumps(json.loads(evidence.read_text())))
                assert run("report", folder).exit_code == 0
            digest = hashlib.sha256(evidence.read_bytes()).hexdigest()
            assert digest in (folder / "report.html").read_text()
            assert digest in (folder / "summary.md").read_text()
            assert (digest == stored.sha256) is not changed

    def test_leaves_the_evidence_as_it_is(self, drill: Any, tmp_path: Path, run: Any) -> None:
        folder = Path(str(write_report(drill.record(), str(tmp_path))).removeprefix("file://"))
        evidence = folder / "report.json"
        # As an earlier version wrote it, which did not know every key.
        earlier = json.loads(evidence.read_text())
        del earlier["unread"]
        evidence.write_text(json.dumps(earlier))
        before = evidence.read_bytes()
        drill.facts["run_id"] = "another"
        (folder / "copy.json").write_text(drill.record().to_json())
        assert run("report", folder).exit_code == 0
        assert run("report", folder / "copy.json").exit_code == 0
        assert evidence.read_bytes() == before

    def test_finds_a_run_by_plan_and_id(self, drill: Any, tmp_path: Path, run: Any) -> None:
        write_report(drill.record(), str(tmp_path))
        run_id = drill.facts["run_id"]
        result = run("report", "three-tier-web", run_id, "--reports-folder", tmp_path, "--format", "markdown")
        assert result.output.startswith("# three-tier-web: recovered in 23 m 20 s")
        assert run("report", tmp_path / "three-tier-web" / safe_name(run_id) / "report.json").exit_code == 0

    def test_writes_elsewhere_on_request(self, drill: Any, tmp_path: Path, run: Any) -> None:
        folder = str(write_report(drill.record(), str(tmp_path / "a")))
        assert run("report", folder, "--into", tmp_path / "b").exit_code == 0
        assert read_report(str(tmp_path / "b")) == drill.record()

    def test_a_failed_run(self, drill: Any, tmp_path: Path, run: Any) -> None:
        drill.fails("web.post_launch.switch-dns")
        assert run("report", write_report(drill.record(), str(tmp_path))).exit_code == 1

    @pytest.mark.parametrize("command", [("report",), ("history", "shop", "--reports-folder")])
    def test_a_store_that_cannot_be_read_is_no_run_that_failed(self, run: Any, command: tuple[str, ...]) -> None:
        result = run(*command, "nosuchstore://x/y")
        assert result.exit_code == 2
        assert "nosuchstore://x/y cannot be read: ValueError: Unsupported filesystem" in result.output

    def test_no_such_report(self, tmp_path: Path, run: Any) -> None:
        (tmp_path / "report.html").touch()
        for path in (tmp_path, tmp_path / "report.html"):
            result = run("report", path)
            assert result.exit_code == 2
            assert "no report at" in result.output


class TestHistoryCommand:
    def test_shows_the_trend(self, drill: Any, tmp_path: Path, run: Any) -> None:
        for number in (1, 2):
            drill.facts.update(run_id=f"drill-{number}", started=f"2026-11-21T10:{57 + number}:00+00:00")
            write_report(drill.record(), str(tmp_path))
        result = run("history", "three-tier-web", "--reports-folder", tmp_path)
        assert result.exit_code == 0, result.output
        assert "█▁" in result.output
        assert "−1 m" in result.output
        assert "24 m 20 s" in result.output

    @pytest.mark.parametrize("columns", ["40", "80", "200"])
    def test_no_terminal_is_too_narrow_for_the_verdict(
        self, drill: Any, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        """Where there is none, as behind a pipe, it counts as one of 80 columns."""
        monkeypatch.setenv("COLUMNS", columns)
        write_report(drill.record(), str(tmp_path))
        lines = run("history", "three-tier-web", "--reports-folder", tmp_path).output.splitlines()
        assert lines[1].split() == ["Started", "Mode", "State", "Plan", "RTO", "Objective", "Change", "RPO", "Verdict"]
        assert lines[2].split()[-1] == "met"
        assert "…" not in lines[2]

    def test_json(self, drill: Any, tmp_path: Path, run: Any) -> None:
        write_report(drill.record(), str(tmp_path))
        result = run("history", "three-tier-web", "--reports-folder", tmp_path, "--format", "json")
        found = json.loads(result.output)
        runs = found["runs"]
        assert found["unreadable"] == []
        assert [(row["rto"]["achieved_seconds"], row["rto"]["met"]) for row in runs] == [(1400, True)]

    def test_json_names_the_reports_that_could_not_be_read(self, drill: Any, tmp_path: Path, run: Any) -> None:
        write_report(drill.record(), str(tmp_path))
        (tmp_path / "three-tier-web" / "cut").mkdir()
        (tmp_path / "three-tier-web" / "cut" / "report.json").write_text('{"schema_version": 1, "gen')
        result = run("history", "three-tier-web", "--reports-folder", tmp_path, "--format", "json")
        (problem,) = json.loads(result.stdout)["unreadable"]
        assert "cut/report.json is not a report" in problem

    def test_rehearsals_and_refused_runs_are_no_drills(self, drill: Any, tmp_path: Path, run: Any) -> None:
        def held(run_id: str, minute: int, **facts: Any) -> Any:
            drill.facts.update(run_id=run_id, started=f"2026-11-21T10:{minute}:00+00:00", **facts)
            return drill.record()

        arguments = ("history", "three-tier-web", "--reports-folder", tmp_path)
        rehearsal = held("rehearsal", 50, endpoint="http://127.0.0.1:4566", simulated_speed=60.0)
        write_report(rehearsal, str(tmp_path))
        only = run(*arguments)
        assert only.exit_code == 2
        assert "not counted: 1 rehearsal (--simulated shows them)" in only.output
        write_report(held("drill", 52, endpoint=None, simulated_speed=None), str(tmp_path))
        refusal = held("refused", 55)
        refused = refusal.model_copy(
            update={
                "run": refusal.run.model_copy(update={"state": "failed", "refused": "waves names no wave"}),
                "waves": [wave.model_copy(update={"jobs": []}) for wave in refusal.waves],
            }
        )
        write_report(refused, str(tmp_path))

        result = run(*arguments)
        assert result.exit_code == 0, "the last drill met its objectives"
        assert "Runs that were refused, and launched nothing: 1 (2026-11-21 10:55:00 UTC)" in result.output
        assert "Not shown: 1 rehearsal (--simulated shows them)" in result.output
        found = json.loads(run(*arguments, "--format", "json").output)
        assert [(row["run_id"], row["simulated"]) for row in found["runs"]] == [("drill", False)]
        assert [row["reason"] for row in found["refused"]] == ["waves names no wave"]
        assert found["simulated_left_out"] == 1

        everything = run(*arguments, "--simulated")
        assert "not judged (simulated, 60×)" in everything.output
        rows = json.loads(run(*arguments, "--simulated", "--format", "json").output)["runs"]
        assert [(row["run_id"], row["simulated_speed"], row["rto"]["met"]) for row in rows] == [
            ("rehearsal", 60.0, None),
            ("drill", None, True),
        ]

    def test_recoveries_are_apart(self, drill: Any, tmp_path: Path, run: Any) -> None:
        write_report(drill.record(), str(tmp_path))
        result = run("history", "three-tier-web", "--reports-folder", tmp_path, "--mode", "recovery")
        assert result.exit_code == 2
        assert "no report of a recovery" in result.output


def test_sparkline() -> None:
    assert sparkline([1, None, 2, 3]) == "▁·▅█"
    assert sparkline([5, 5]) == "▅▅"
    assert sparkline([]) == ""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server of its own, which Airflow's object storage reaches as it reaches S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AIRFLOW_CONN_AWS_REPORTS": "aws://",
    }.items():
        monkeypatch.setenv(key, value)
    boto3.client("s3").create_bucket(Bucket="evidence")
    yield "s3://aws_reports@evidence/dr"
    server.stop()


def test_reports_in_s3(drill: Any, bucket: str) -> None:
    record = drill.record()
    written = write_report(record, bucket)
    assert written.json.startswith("s3://")
    assert read_report(report_folder(bucket, "three-tier-web", record.run.run_id)) == record
    assert reports_of("three-tier-web", bucket) == ([record], [])
    with pytest.raises(FileNotFoundError):
        read_report(f"{bucket}/three-tier-web/none")
    # The live data of a wait lies beside it.
    moment = datetime.now(timezone.utc)
    wait = LiveWait(
        dag_id="shop", run_id="run", task_id="db.settle", kind="settle", waiting_since=moment, written_at=moment
    )
    write_live(written.folder, wait)
    assert LiveWait.model_validate_json(read_file(f"{written.folder}/live", "db.settle.json")) == wait
