"""``drs-plan import``: files and standard input, what it prints, what it writes, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.importers.conftest import command

PLAN = {
    "planId": "1",
    "planName": "Till",
    "region": "us-west-2",
    "waves": [{"waveNumber": 0, "waveName": "all", "serverIds": ["s-00000000000000001"], "pauseBeforeWave": True}],
}


def test_standard_input_is_printed_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("import", "-", "--from", "orchestrator", stdin=json.dumps(PLAN))
    assert result.exit_code == 0, result.output
    (tmp_path / "till.yaml").write_text(result.stdout)
    assert command("validate", str(tmp_path / "till.yaml")).exit_code == 0
    assert "till: 1 wave (not written; --out DIR writes till.yaml)" in result.stderr
    assert "a pause before the wave is an approval here" in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "till.yaml"]


def test_files_that_are_there_stay_unless_forced(tmp_path: Path) -> None:
    source = tmp_path / "plan.json"
    source.write_text(json.dumps(PLAN))
    out = tmp_path / "plans"
    arguments = ("import", str(source), "--from", "orchestrator", "--out", str(out))
    assert command(*arguments).exit_code == 0
    (out / "till.yaml").write_text("mine")
    again = command(*arguments)
    assert again.exit_code == 2
    assert "till.yaml already" in again.output
    assert (out / "till.yaml").read_text() == "mine"
    assert command(*arguments, "--force").exit_code == 0
    assert command("validate", str(out)).exit_code == 0


def test_the_name_of_a_plan_in_another_file_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "plan.json"
    source.write_text(json.dumps(PLAN))
    out = tmp_path / "plans"
    assert command("import", str(source), "--from", "orchestrator", "--out", str(out)).exit_code == 0
    (out / "till.yaml").rename(out / "shop.yaml")
    result = command("import", str(source), "--from", "orchestrator", "--out", str(out))
    assert result.exit_code == 2
    assert "is a plan of the name till already" in result.output


def test_one_plan_of_several(tmp_path: Path) -> None:
    source = tmp_path / "plans.json"
    broken = {"planName": "Broken", "region": "us-west-2", "waves": [{"waveName": "x", "serverIds": ["nonsense"]}]}
    source.write_text(json.dumps([PLAN, broken]))
    arguments = ("import", str(source), "--from", "orchestrator", "--out", str(tmp_path / "plans"))
    assert command(*arguments).exit_code == 1, "all or none"
    assert not (tmp_path / "plans").exists()
    assert command(*arguments, "--plan", "Till").exit_code == 0
    other = command(*arguments, "--plan", "Tillt")
    assert 'there is no plan "Tillt"; the source has Till, Broken' in other.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("{", "line 1, column 2: is not JSON"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"waves": NaN}', "NaN"),
        ('"x"', "expected an object or a list of objects"),
        ("[[1]]", "[0][0]: expected an object"),
        ('{"hello": 1}', "is neither a plan"),
        ("[]", "there is no plan"),
        ('{"planName": {"S": "x"}, "waves": {"L": "y"}}', "waves: expected a value of the type L"),
        ('{"planName": {"S": "x"}, "waves": {"L": [{"N": "y"}]}}', "waves[0]: expected a number as text"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_source_is_refused_with_its_place(text: str, expected: str) -> None:
    result = command("import", "-", "--from", "orchestrator", stdin=text)
    assert result.exit_code == 1, result.output
    assert expected in result.stderr
    assert "nothing was imported" in result.stderr


def test_the_file_is_named_where_there_are_several(tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(PLAN)), ("b.json", '{"waves": 3}')):
        (tmp_path / name).write_text(text)
    result = command("import", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--from", "orchestrator")
    assert f"{tmp_path / 'b.json'}:waves: expected a list, found 3" in result.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = command("import", str(tmp_path / "none.json"), "--from", "drs-tools")
    assert result.exit_code == 2
    assert "No such file" in result.stderr
