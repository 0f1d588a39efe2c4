"""Where plans are read from, and what becomes of the broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs_provider.dag import BrokenPlansError, raise_broken_plans, recovery_dags
from drs_provider.dag import factory as factory_module
from drs_provider.dag.folder import plans_folder

SETTING = "AIRFLOW__DRS_PROVIDER__PLANS_FOLDER"
PLAN = """\
version: 1
name: {name}
target: {{region: us-west-2}}
waves:
  - name: web
    depends_on: [{needs}]
    servers: [{{hostname: web01}}]
"""


@pytest.fixture
def dags_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DAG folder with nothing set."""
    for name in (SETTING, "_AIRFLOW_PARSING_CONTEXT_DAG_ID"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home" / "dags"
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, name: str, needs: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(PLAN.format(name=name, needs=needs))
    return path


def test_plans_lie_inside_the_dag_folder_or_else_beside_it(dags_folder: Path) -> None:
    assert plans_folder(dags_folder) == dags_folder.parent / "plans"
    (dags_folder / "plans").mkdir()
    assert plans_folder(dags_folder) == dags_folder / "plans"


def test_the_setting_comes_first_and_counts_from_the_dag_folder(
    dags_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dags_folder / "plans").mkdir()
    monkeypatch.setenv(SETTING, str(dags_folder.parent / "elsewhere"))
    assert plans_folder(dags_folder) == dags_folder.parent / "elsewhere"
    monkeypatch.setenv(SETTING, "../recovery")
    assert plans_folder(dags_folder) == dags_folder.parent / "recovery"
    monkeypatch.setenv(SETTING, "~/recovery")
    assert plans_folder(dags_folder) == Path("~/recovery").expanduser()


def test_every_valid_plan_is_a_dag_and_a_broken_one_hides_no_other(dags_folder: Path) -> None:
    write(dags_folder / "plans", "shop")
    write(dags_folder / "plans", "mail")
    write(dags_folder / "plans", "broken", needs="databse")
    assert sorted(recovery_dags(dags_folder)) == ["mail", "shop"]


def test_a_worker_builds_only_the_plan_that_it_runs(dags_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shop", "mail"):
        write(dags_folder / "plans", name)
    read: list[str] = []
    build = factory_module.build_dag
    monkeypatch.setattr(factory_module, "build_dag", lambda loaded: read.append(loaded.plan.name) or build(loaded))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "shop")
    assert list(recovery_dags(dags_folder)) == read == ["shop"]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "somebody_elses")
    assert recovery_dags(dags_folder) == {}


def test_the_dag_file_never_raises(
    dags_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert recovery_dags(dags_folder) == {}, "no folder of plans"
    (dags_folder.parent / "plans").write_text("a file")
    assert recovery_dags(dags_folder) == {}, "a file where the folder should be"
    write(dags_folder / "plans", "shop")
    write(dags_folder / "plans", "mail")
    build = factory_module.build_dag

    def fails_for_mail(loaded):
        if loaded.plan.name == "mail":
            raise RuntimeError("ours")
        return build(loaded)

    monkeypatch.setattr(factory_module, "build_dag", fails_for_mail)
    assert list(recovery_dags(dags_folder)) == ["shop"]
    assert "mail.yaml could not be made into a DAG" in caplog.text
    with pytest.raises(BrokenPlansError, match=r"mail\.yaml: valid, but no DAG could be made of it: .*ours"):
        raise_broken_plans(dags_folder)


def test_one_error_names_file_line_and_message_of_every_broken_plan(dags_folder: Path) -> None:
    write(dags_folder / "plans", "shop")
    first = write(dags_folder / "plans", "first", needs="databse")
    second = write(dags_folder / "plans", "second", needs="web")
    with pytest.raises(BrokenPlansError) as caught:
        raise_broken_plans(dags_folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Broken recovery plans:"
    assert any(line.startswith(f"{first}:6:18") and "there is no wave databse" in line for line in lines)
    assert any(line.startswith(f"{second}:6:18") and "wave web depends on itself" in line for line in lines)
    assert "shop" not in str(caught.value)


def test_no_error_where_every_plan_is_valid_and_none_in_a_worker(
    dags_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dags_folder / "plans", "shop")
    raise_broken_plans(dags_folder)
    write(dags_folder / "plans", "broken", needs="databse")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "shop")
    raise_broken_plans(dags_folder)


def test_a_folder_of_plans_that_is_not_there_is_an_error_that_says_how_to_go_on(dags_folder: Path) -> None:
    with pytest.raises(BrokenPlansError, match=SETTING):
        raise_broken_plans(dags_folder)
