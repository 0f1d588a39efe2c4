"""The wheel that the package makes of itself, against the one that the build tool makes of the repository."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from drs_provider.deploy.wheel import shipped_folder, write_wheel, write_zip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_what_the_build_tool_packs(tmp_path: Path, built: Path) -> None:
    own = write_wheel(tmp_path)
    assert own.name == built.name
    ours, theirs = contents(own), contents(built)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.endswith("/METADATA"):
            # Below its head stands the README as it was when the checkout was installed.
            assert ours[name].partition(b"\n\n")[0] == theirs[name].partition(b"\n\n")[0]
        elif not name.endswith(("/RECORD", "/WHEEL")):
            assert ours[name].strip() == theirs[name].strip(), name
    assert "drs_provider/dags/recovery_plans.py" in ours
    assert "drs_provider/constraints/mwaa-3.3.1.txt" in ours


def test_it_carries_its_licence_and_its_types(tmp_path: Path) -> None:
    members = contents(write_wheel(tmp_path))
    (licence,) = (name for name in members if name.endswith(".dist-info/licenses/LICENSE"))
    assert b"Apache License" in members[licence]
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in members)
    assert members["drs_provider/py.typed"] == b""
    metadata = next(content for name, content in members.items() if name.endswith("/METADATA"))
    assert b"License-Expression: Apache-2.0" in metadata
    assert b"Classifier: Typing :: Typed" in metadata


def test_its_record_is_true(tmp_path: Path) -> None:
    members = contents(write_wheel(tmp_path))
    record = next(name for name in members if name.endswith("/RECORD"))
    rows = {row[0]: row for row in csv.reader(members[record].decode().splitlines())}
    assert rows.keys() == members.keys()
    for name, content in members.items():
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert rows[name] == [name, f"sha256={digest}", str(len(content))]


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write_wheel(tmp_path / "a").read_bytes() == write_wheel(tmp_path / "b").read_bytes()
    first = write_zip(tmp_path / "1.zip", {"b": b"2", "a": b"1"})
    second = write_zip(tmp_path / "2.zip", {"a": b"1", "b": b"2"})
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_is_nowhere_is_an_error() -> None:
    assert (shipped_folder("dags") / "recovery_plans.py").is_file()
    with pytest.raises(FileNotFoundError, match="reinstall the package"):
        shipped_folder("nowhere")
