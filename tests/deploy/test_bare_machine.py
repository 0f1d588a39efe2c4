"""What `make` says and does where little is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def interpreter(folder: Path, version: str, *, ensurepip: bool = True) -> Path:
    """A program that says it is Python in this version, and never makes an environment."""
    made = folder / "python"
    made.write_text(
        f"""#!/bin/sh
case "$*" in
  *version_info*) echo {version} ;;
  *ensurepip*) exit {0 if ensurepip else 1} ;;
  *) exit 9 ;;
esac
"""
    )
    made.chmod(0o755)
    return made


@pytest.mark.parametrize("version", ["3.9", "3.99"])
def test_a_python_that_is_not_supported_is_refused_by_name(version: str, tmp_path: Path) -> None:
    done = make("venv", f"PYTHON={interpreter(tmp_path, version)}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert f"is Python {version}, for which there is no constraints/airflow-3.3.2-py{version}.txt" in done.stderr
    assert "make PYTHON=python3.12" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_ensurepip_is_installed_before_it_is_needed(tmp_path: Path) -> None:
    # Nothing is installed here: what would be run is printed.
    python = interpreter(tmp_path, "3.12", ensurepip=False)
    done = make("--dry-run", "venv", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    lines = done.stdout.splitlines()
    (ensure,) = [line for line in lines if "scripts/system-packages.sh python3.12-venv" in line]
    assert lines.index(ensure) < lines.index(f"{python} -m venv {tmp_path / 'venv'}")


def test_every_version_that_the_package_names_has_constraints() -> None:
    for version in ("3.10", "3.11", "3.12", "3.13"):
        text = (ROOT / "constraints" / f"airflow-3.3.2-py{version}.txt").read_text()
        assert "apache-airflow==3.3.2\n" in text


def test_the_named_python_is_found() -> None:
    here = "{}.{}".format(*sys.version_info[:2])
    script = str(ROOT / "scripts" / "python.sh")
    found = subprocess.run([script, here], capture_output=True, text=True, check=True).stdout.strip()
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"Python {here}." in said
    missing = subprocess.run([script, "3.99"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "Python 3.99 is needed and missing" in missing.stderr
