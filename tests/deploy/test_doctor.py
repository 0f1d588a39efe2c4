"""`drs-plan doctor`: it finds what is wrong, and says what to do."""

from __future__ import annotations

import json
import shutil
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from typer.testing import CliRunner

import drs_provider
from drs_provider.cli import app
from drs_provider.commands.doctor import _hook
from drs_provider.commands.waiting import meanwhile
from drs_provider.deploy.doctor import Advice
from drs_provider.deploy.doctor.airflow_settings import check_gates, check_settings
from drs_provider.deploy.doctor.helm_values import check_helm_values
from drs_provider.deploy.doctor.installation import check_installation
from drs_provider.deploy.doctor.plan_files import check_bundles, check_dag_files, check_plans, local_dags_folders
from drs_provider.deploy.doctor.reachability import api_address, check_airflow, check_aws
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS
from drs_provider.plan import RecoveryPlan, load_plan

ROOT = Path(__file__).parents[2]
VALUES = resources.files("drs_provider.deploy") / "kubernetes" / "values.yaml"


def problems(found: Any) -> list[Advice]:
    return [advice for advice in found if advice.level in ("warning", "error")]


# The installation


def test_this_installation_is_well(tmp_path: Path) -> None:
    found = list(check_installation(tmp_path))
    assert problems(found) == []
    assert f"imported from {Path(drs_provider.__file__).parent}" in str(found[-1])


def test_a_copy_beside_the_installed_package_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "drs_provider").mkdir()
    (found,) = problems(check_installation(tmp_path))
    assert "there twice" in found.message
    assert str(tmp_path / "drs_provider") in found.remedy


def test_a_package_in_the_plugins_folder_needs_an_ignore_file(tmp_path: Path) -> None:
    (tmp_path / "drs_provider").symlink_to(Path(drs_provider.__file__).parent)
    (found,) = problems(check_installation(tmp_path))
    assert ".airflowignore" in found.remedy
    (tmp_path / ".airflowignore").write_text("drs_provider/\n")
    assert problems(check_installation(tmp_path)) == []


def test_versions_that_do_not_go_together_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    pretended = {"apache-airflow": "3.2.1", "pydantic": "2.14.0", "apache-airflow-providers-amazon": "9.1.0"}
    monkeypatch.setattr(metadata, "version", lambda name: pretended.get(name) or real(name))
    found = [advice.message for advice in problems(check_installation(tmp_path))]
    assert found == [
        "apache-airflow-providers-amazon 9.1.0 is older than 9.25",
        "Airflow 3.2.1 does not start with pydantic 2.14.0",
    ]


def test_a_copy_that_is_not_installed_is_no_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "airflow-provider-aws-drs":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    (found,) = problems(check_installation(tmp_path))
    assert "Airflow sees no provider" in found.message


def test_the_setting_of_a_rehearsal_stops_a_recovery_and_is_an_error() -> None:
    options = {("drs_provider", "rehearsal_speed"): "60"}
    found = [advice for advice in check_settings(lambda *key: options.get(key)) if "rehearsal" in advice.message]
    assert [(advice.level, "refuses to act on AWS, in a real recovery too" in advice.message) for advice in found] == [
        ("error", True)
    ]


def test_a_command_that_takes_long_says_so_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with meanwhile("looking at this installation", first_word=0.01):
        said = ""
        while "looking at this installation: 0 s" not in said:
            said += capfd.readouterr().err
    with meanwhile("nothing to say"):
        pass
    assert "nothing" not in capfd.readouterr().err


# The plans


def test_plans_found_and_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "plans" / "three-tier-web.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("version: 1\nname: broken\nwavess: []\n")
    found = list(check_plans(tmp_path))
    assert found[0].level == "ok"
    assert found[0].message.startswith("three-tier-web: 3 waves")
    assert any("wavess" in advice.message and advice.level == "error" for advice in found)


def test_no_folder_and_an_empty_folder(tmp_path: Path) -> None:
    assert next(check_plans(tmp_path / "none")).level == "error"
    assert next(check_plans(tmp_path)).level == "warning"


def test_the_dag_files_are_found_where_airflow_reads(tmp_path: Path) -> None:
    bundles = json.dumps(
        [
            {"name": "a", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
            {
                "name": "b",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(tmp_path / "b")},
            },
            {"name": "c", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {}},
        ]
    )
    folders = local_dags_folders(tmp_path / "a", bundles)
    assert folders == [tmp_path / "a", tmp_path / "b"]
    assert [advice.level for advice in check_bundles(bundles)] == ["info", "info", "ok"]
    shutil.copytree(ROOT / "dags", tmp_path / "a")
    assert [advice.level for advice in check_dag_files(folders)] == ["ok", "error"]


# The settings


def test_the_recommended_settings_are_well_and_each_other_value_is_explained() -> None:
    options = {(setting.section, setting.key): setting.value for setting in RECOMMENDED_SETTINGS}
    options |= {("core", "fernet_key"): "k", ("core", "parallelism"): "32"}
    options["scheduler", "orphaned_tasks_check_interval"] = "30.0"
    assert problems(check_settings(lambda section, key: options.get((section, key)))) == []
    for setting in RECOMMENDED_SETTINGS:
        changed = options | {(setting.section, setting.key): "12345"}
        (found,) = problems(check_settings(lambda section, key, changed=changed: changed.get((section, key))))  # type: ignore[misc]
        assert setting.reason in found.message
        assert found.remedy == f"{setting.variable}={setting.value}"


def test_settings_that_hold_a_run_up() -> None:
    options = {(setting.section, setting.key): setting.value for setting in RECOMMENDED_SETTINGS}
    options |= {("core", "parallelism"): "4", ("core", "dags_are_paused_at_creation"): "True"}
    found = [
        advice for advice in check_settings(lambda section, key: options.get((section, key))) if advice.level != "ok"
    ]
    assert [advice.level for advice in found] == ["info", "warning", "warning", "info"]
    assert "stands still" in found[0].message
    assert "plain text" in found[1].message
    assert "parallelism = 4" in found[2].message


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("core", "dag_run_conf_overrides_params", "False", "Airflow ignores the parameters of a run"),
        ("drs_provider", "drill_grace", "soon", "drill_grace = soon is no duration"),
        ("drs_provider", "drill_grace", "0s", "drill_grace = 0s is no duration"),
    ],
)
def test_settings_that_make_a_run_something_else(section: str, key: str, value: str, message: str) -> None:
    options = {(setting.section, setting.key): setting.value for setting in RECOMMENDED_SETTINGS}
    options |= {("core", "fernet_key"): "k", ("core", "parallelism"): "32", (section, key): value}
    (found,) = problems(check_settings(lambda *option: options.get(option)))
    assert (found.level, message in found.message) == ("error", True)


# AWS and Airflow


class Session:
    """A session whose DRS answers, or fails in one way."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def get_session(self, region_name: str) -> Session:
        return self

    def client(self, service: str, config: Any = None) -> Session:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws:iam::111122223333:role/dr"}

    def describe_source_servers(self, **parameters: Any) -> None:
        # The call must be one that DRS has, with parameters that it takes.
        model = botocore.session.get_session().get_service_model("drs").operation_model("DescribeSourceServers")
        assert parameters.keys() <= model.input_shape.members.keys()
        if self.error:
            raise self.error


@pytest.fixture
def plan() -> RecoveryPlan:
    return load_plan(ROOT / "plans" / "three-tier-web.yaml").plan


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeSourceServers")


def test_each_connection_and_region_is_asked_once(plan: RecoveryPlan) -> None:
    asked = []

    def make_hook(connection: str, region: str) -> Session:
        asked.append((connection, region))
        return Session()

    (found,) = check_aws([plan, plan.model_copy(update={"name": "other"})], make_hook)
    assert asked == [("aws_default", "us-west-2")]
    assert (found.level, "other, three-tier-web" in found.message) == ("ok", True)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (refused("AccessDeniedException"), "policies"),
        (refused("UninitializedAccountException"), "initialise"),
        (refused("ExpiredTokenException"), "renew"),
        (NoCredentialsError(), "role_arn"),
        (EndpointConnectionError(endpoint_url="https://x"), "drs.us-west-2.amazonaws.com"),
        (RuntimeError("?"), "AWS's own"),
    ],
)
def test_each_failure_has_its_remedy(plan: RecoveryPlan, error: Exception, remedy: str) -> None:
    (found,) = check_aws([plan], lambda connection, region: Session(error))
    assert found.level == "error"
    assert remedy in found.remedy


def test_a_missing_connection_is_named(plan: RecoveryPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine has credentials of its own, which the hook would take in its place."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    lost = plan.model_copy(update={"target": plan.target.model_copy(update={"aws_conn_id": "nowhere"})})
    (found,) = check_aws([lost], _hook)
    assert found.level == "error"
    assert "Airflow has no connection nowhere" in found.message
    assert "airflow connections add nowhere" in found.remedy


def test_a_plan_with_approvers_and_nobody_to_break_the_glass_is_named(plan: RecoveryPlan) -> None:
    approval = {"approval": {"approvers": ["alice"]}}
    asking = RecoveryPlan.model_validate({**plan.model_dump(exclude_defaults=True), "recovery": approval})
    assert list(check_gates([plan], lambda *_: None)) == []
    (found,) = check_gates([plan, asking], lambda *_: None)
    assert (found.level, asking.name in found.message) == ("warning", True)
    users = {("drs_provider", "break_glass_users"): "olga"}
    assert list(check_gates([asking], lambda *option: users.get(option))) == []
    (found,) = check_gates([plan], lambda section, key: "soon" if key == "continue_for" else None)
    assert (found.level, "'soon'" in found.message) == ("error", True)


def test_parts_of_airflow_that_do_not_run() -> None:
    healthy = {"status": "healthy"}
    answer = {
        "metadatabase": healthy,
        "scheduler": healthy,
        "dag_processor": {"status": "unhealthy"},
        "triggerer": None,
    }
    found = list(check_airflow(lambda: answer, "http://airflow", "AIRFLOW__API__BASE_URL"))
    assert [advice.level for advice in found] == ["ok", "ok", "error", "error"]
    assert found[3].remedy == "start it: airflow triggerer"

    def silent() -> dict[str, Any]:
        raise ConnectionError("refused")

    (found_nothing,) = check_airflow(silent, "http://airflow", "AIRFLOW__API__BASE_URL")
    assert found_nothing.level == "warning"
    assert "AIRFLOW__API__BASE_URL" in found_nothing.remedy


@pytest.mark.parametrize(
    ("for_tasks", "for_people", "address"),
    [
        ("http://api-server:8080/execution/", "http://localhost:8080", "http://api-server:8080"),
        ("http://host/airflow/execution", None, "http://host/airflow"),
        (None, "https://airflow.example.com/", "https://airflow.example.com"),
        (None, None, "http://localhost:8080"),
    ],
)
def test_the_api_server_is_asked_where_tasks_ask_it(for_tasks: Any, for_people: Any, address: str) -> None:
    options = {("core", "execution_api_server_url"): for_tasks, ("api", "base_url"): for_people}
    found, variable = api_address(lambda section, key: options.get((section, key)))
    assert found == address
    assert ("EXECUTION" in variable) == bool(for_tasks)


# Helm values


def test_the_shipped_values_are_well() -> None:
    assert problems(check_helm_values(VALUES.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("airflowVersion",), "2.10.5", "older than 3.2.1"),
        (("jwtSecretName",), "", "jwtSecretName is not set"),
        (("config", "scheduler", "scheduler_idle_slep_time"), "1", "is no option"),
        (("config", "scheduler", "scheduler_idle_sleep_time"), "1", "recommended 0.1"),
        (("dagProcessor", "dagBundleConfigList"), [], "is empty"),
        (
            ("dagProcessor", "dagBundleConfigList"),
            [
                {
                    "name": "p",
                    "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
                    "kwargs": {"branch": "main"},
                }
            ],
            "GitDagBundle takes no branch",
        ),
        (("dagProcessor", "dagBundleConfigList"), [{"name": "p", "classpath": "a.b.C"}], "cannot be imported"),
        (("dags", "gitSync", "enabled"), True, "both fetch"),
        (("triggerer", "replicas"), 0, "no triggerer"),
        (("postgresql", "enabled"), True, "no backups"),
    ],
)
def test_values_that_harm_a_recovery(path: tuple[str, ...], value: Any, message: str) -> None:
    values = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    parent = values
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    (found,) = problems(check_helm_values(yaml.safe_dump(values)))
    assert message in found.message


# The command


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    for line in (tmp_path / "airflow-settings.env").read_text().splitlines():
        if line.startswith("AIRFLOW"):
            monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(tmp_path / "plugins"))
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__PLANS_FOLDER", str(tmp_path / "plans"))
    return tmp_path


def test_what_init_writes_is_well(installation: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--offline", "--strict"])
    assert done.exit_code == 0, done.output
    assert done.output.endswith("0 errors, 0 warnings\n")


def test_a_broken_plan_fails_the_command_and_json_says_where(installation: Path) -> None:
    (installation / "plans" / "broken.yaml").write_text("version: 1\nname: broken\nwavess: []\n")
    done = CliRunner().invoke(app, ["doctor", "--offline", "--format", "json"])
    assert done.exit_code == 1
    errors = [advice for advice in json.loads(done.stdout) if advice["level"] == "error"]
    assert errors
    assert all(advice["check"] == "plans" and "broken.yaml" in advice["message"] for advice in errors)


def test_warnings_fail_only_when_asked(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "1")
    assert CliRunner().invoke(app, ["doctor", "--offline"]).exit_code == 0
    assert CliRunner().invoke(app, ["doctor", "--offline", "--strict"]).exit_code == 1


def test_errors_come_first_tuning_last_in_one_line_and_who_was_not_asked_is_named(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "1")
    (installation / "plans" / "broken.yaml").write_text("version: 1\nname: broken\nwavess: []\n")
    lines = CliRunner().invoke(app, ["doctor", "--offline"]).stdout.splitlines()
    assert lines[0].startswith("error   plans")
    assert lines[-3:] == [
        "warning tuning    AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=0.1",
        "",
        lines[-1],
    ]
    assert "info    aws       not asked (--offline)" in lines
    (unasked,) = check_aws([], _hook)
    assert str(unasked) == "info    aws       not asked: there is no valid plan that names a connection"


def test_an_unknown_format_is_refused() -> None:
    assert CliRunner().invoke(app, ["doctor", "--format", "xml"]).exit_code == 2
