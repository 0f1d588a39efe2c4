"""One file, a folder, the file of a name; and the hash of a plan's meaning."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from drs_provider.plan import PlanError, find_plan, load_plan, loading, plan_hash, read_plans
from drs_provider.plan.document import read_document
from drs_provider.plan.models import RecoveryPlan

TEXT = "version: 1\nname: {name}\ntarget: {{region: us-west-2}}\nwaves: [{{name: a, servers: [{{hostname: h}}]}}]\n"


def write(folder: Path, file: str, name: str) -> Path:
    path = folder / file
    path.write_text(TEXT.format(name=name))
    return path


def test_a_loaded_plan_knows_its_file_and_hash(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.yaml", "shop")
    loaded = load_plan(str(path))
    assert (loaded.plan.name, loaded.path) == ("shop", path)
    assert len(loaded.hash) == 64
    assert pickle.loads(pickle.dumps(loaded)) == loaded


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.symlink_to(path)])
def test_what_is_not_a_file_is_a_plan_error(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "plan.yaml"
    make(path)
    with pytest.raises(PlanError) as refused:
        load_plan(path)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.column) == (str(path), 1, 1)
    assert pickle.loads(pickle.dumps(refused.value)).problems == refused.value.problems


def test_a_link_to_nothing_is_told_from_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").symlink_to("gone.yaml")
    with pytest.raises(PlanError, match="is a symbolic link to nothing"):
        load_plan(tmp_path / "plan.yaml")


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "plan.yaml")
    with pytest.raises(PlanError, match="is not a regular file"):
        load_plan(tmp_path / "plan.yaml")


def test_a_broken_file_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "one")
    (tmp_path / "b.yaml").write_text("version: [")
    (tmp_path / "c.yml").write_bytes(b"\xff\xfe")
    write(tmp_path, "d.yml", "two")
    write(tmp_path, "E.YAML", "three")
    (tmp_path / "ignored.txt").write_text("no plan")
    (tmp_path / ".hidden.yaml").write_text("no plan")
    (tmp_path / "sub").mkdir()
    result = read_plans(tmp_path)
    assert sorted(result.plans) == ["one", "three", "two"]
    found = find_plan(tmp_path, "three")
    assert found is not None and found.path.name == "E.YAML"
    assert {Path(problem.file).name for problem in result.problems} == {"b.yaml", "c.yml"}


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    result = read_plans(tmp_path / "nope")
    assert result.plans == {}
    assert "cannot be read" in result.problems[0].message


def test_of_two_files_with_one_name_the_one_called_so_is_the_plan(tmp_path: Path) -> None:
    copy = write(tmp_path, "a-copy.yaml", "shop")
    original = write(tmp_path, "shop.yaml", "shop")
    result = read_plans(tmp_path)
    assert result.plans["shop"].path == original
    (problem,) = result.problems
    assert (problem.file, problem.line, problem.column, problem.path) == (str(copy), 2, 7, "name")
    assert str(original) in problem.message


def test_of_two_files_with_one_foreign_name_the_first_is_the_plan(tmp_path: Path) -> None:
    first = write(tmp_path, "a.yaml", "shop")
    write(tmp_path, "b.yaml", "shop")
    assert read_plans(tmp_path).plans["shop"].path == first
    found = find_plan(tmp_path, "shop")
    assert found is not None
    assert found.path == first


NAMED = {
    "plain": TEXT.format(name="shop"),
    "quoted": TEXT.format(name='"shop"'),
    "escaped": TEXT.format(name=r'"\x73hop"'),
    "late": "version: 1\ntarget: {region: us-west-2}\nwaves: [{name: a, servers: [{hostname: h}]}]\nname: shop\n",
    "flow": "{version: 1, target: {region: us-west-2}, waves: [{name: a, servers: [{hostname: h}]}], name: shop}",
    "quoted key": TEXT.format(name="x").replace("name: x", '"name": shop'),
    "explicit key": TEXT.format(name="x").replace("name: x", "? name\n: shop"),
    "next line": TEXT.format(name="x").replace("name: x", "name:\n  shop"),
    "alias": TEXT.format(name="*n").replace("version", "owner: &n shop\nversion"),
    "merged": TEXT.format(name="x").replace("name: x\n", "<<: {name: shop}\n"),
    "byte order mark": "\ufeff" + TEXT.format(name="shop"),
    "windows lines": TEXT.format(name="shop").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("style", NAMED)
def test_finds_a_plan_however_its_name_is_written(tmp_path: Path, style: str) -> None:
    write(tmp_path, "a.yaml", "shop-2")
    (tmp_path / "b.yaml").write_bytes(NAMED[style].encode())
    found = find_plan(tmp_path, "shop")
    assert found is not None
    assert found == read_plans(tmp_path).plans["shop"]


def test_finds_no_plan_by_a_name_that_stands_elsewhere(tmp_path: Path) -> None:
    text = TEXT.format(name="other").replace("name: a,", "name: shop, description: 'name: shop',")
    (tmp_path / "a.yaml").write_text(f"# name: shop\nowner: shop\n{text}")
    (tmp_path / "shop.yaml").write_text(TEXT.format(name="renamed"))
    assert find_plan(tmp_path, "shop") is None
    assert find_plan(tmp_path / "nope", "shop") is None
    assert find_plan(tmp_path, "../shop") is None


def test_a_broken_file_of_the_name_does_not_hide_the_plan(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop\nversion: 1\n")
    good = write(tmp_path, "good.yaml", "shop")
    found = find_plan(tmp_path, "shop")
    assert found is not None
    assert found.path == good


BASE = """
version: 1
name: shop
tags: [b, a]
target: {region: us-west-2}
objectives: {rpo: 5m}
waves:
  - name: a
    launch_timeout: 1h30m
    servers: [{id: s-00000000000000001}]
    post_launch: [{name: x, run_command: Doc, modes: [recovery, drill]}]
  - {name: b, launch_timeout: 1h30m, servers: [{hostname: b}]}
  - {name: c, launch_timeout: 1h30m, depends_on: [a, b], servers: [{hostname: c}]}
"""
SAME = {
    "comments": BASE.replace("\n", " # why\n"),
    "key order": "name: shop\n" + BASE.replace("name: shop\n", ""),
    "spelling": BASE.replace("1h30m", "PT90M").replace("tags: [b, a]", "tags:\n  - b\n  - a"),
    "order without meaning": BASE.replace("[b, a]", "[a, b]").replace("[a, b]}", "[b, a]}").replace(", drill]", "]"),
    "defaults": BASE.replace(" launch_timeout: 1h30m,", "").replace(
        "version", "defaults: {launch_timeout: 90m}\nversion"
    ),
    "said aloud": BASE.replace("name: shop", "name: shop\nowner: airflow").replace("5m}", "5m, rto: 1h}"),
    "order of waves": BASE.replace("  - {name: b, launch_timeout: 1h30m, servers: [{hostname: b}]}\n", "")
    + "  - {name: b, launch_timeout: 1h30m, servers: [{hostname: b}]}\n",
}
SAME["order without meaning"] = SAME["order without meaning"].replace("[recovery]", "[drill, recovery]")
SAME["said aloud"] = SAME["said aloud"].replace(", rto: 1h", "")


def hash_of(text: str) -> str:
    return plan_hash(RecoveryPlan.model_validate(yaml.safe_load(text)))


@pytest.mark.parametrize("change", SAME)
def test_the_hash_depends_on_meaning_only(change: str) -> None:
    assert SAME[change] != BASE
    assert hash_of(SAME[change]) == hash_of(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rpo: 5m", "rpo: 6m"),
        ("us-west-2", "us-west-1"),
        ("00001", "00002"),
        ("depends_on: [a, b]", "depends_on: [a]"),
        ("[recovery, drill]", "[drill]"),
        ("run_command: Doc", "automation: Doc"),
        ("name: shop", "name: shop\ndescription: x"),
        ("1h30m", "1h31m"),
    ],
)
def test_every_value_counts_for_the_hash(old: str, new: str) -> None:
    assert hash_of(BASE.replace(old, new)) != hash_of(BASE)


def test_a_content_that_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.yaml", "read-once")
    text = path.read_text()
    first = load_plan(path)
    reads: list[bytes] = []
    monkeypatch.setattr(loading, "read_document", lambda data: reads.append(data) or read_document(data))
    assert load_plan(path) == first
    moved = path.rename(tmp_path / "b.yaml")
    assert (load_plan(moved).plan, load_plan(moved).path) == (first.plan, moved)
    assert reads == []
    # As an editor leaves it for a moment: half of the file, with the date of the whole one.
    moved.write_text(text[: len(text) // 2])
    with pytest.raises(PlanError):
        load_plan(moved)
    moved.write_text(text.replace("hostname: h", "hostname: i"))
    assert load_plan(moved).hash != first.hash
    assert len(reads) == 2
