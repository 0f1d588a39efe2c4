"""The bundle for Amazon MWAA, its stack and its upload."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
import yaml
from botocore.stub import Stubber
from moto import mock_aws
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.deploy.mwaa.bundle import BundleError, mwaa_versions, write_bundle
from drs_provider.deploy.mwaa.stack import airflow_options, stack
from drs_provider.deploy.mwaa.sync import Environment, EnvironmentUpdate, Synchronised, read_environment, synchronise
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS

ROOT = Path(__file__).parents[2]
BUCKET = "recovery-environment"


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    folder = tmp_path / "plans"
    folder.mkdir()
    shutil.copy(ROOT / "plans" / "three-tier-web.yaml", folder)
    return folder


@pytest.fixture
def bundle(plans: Path, tmp_path: Path) -> Path:
    return write_bundle(plans, tmp_path / "bundle", "3.3.1").folder


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


# The bundle


def test_both_images_of_today_are_known() -> None:
    assert mwaa_versions() == ["3.2.1", "3.3.1"]


def test_the_same_plans_give_the_same_bytes(plans: Path, tmp_path: Path) -> None:
    first = write_bundle(plans, tmp_path / "a", "3.3.1").folder
    second = write_bundle(plans, tmp_path / "b", "3.3.1").folder
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_plugins_zip_has_the_wheel_and_nothing_that_airflow_would_run(bundle: Path) -> None:
    with zipfile.ZipFile(bundle / "plugins.zip") as archive:
        names = archive.namelist()
    assert sorted(name.rpartition(".")[2] for name in names) == ["txt", "whl"]
    requirements = (bundle / "requirements.txt").read_text()
    for name in names:
        assert f"/usr/local/airflow/plugins/{name}" in requirements
    assert requirements.count("\ns3fs\n") == 1


def test_a_carried_wheel_takes_the_place_of_the_name(plans: Path, tmp_path: Path) -> None:
    carried = tmp_path / "s3fs-2026.7.0-py3-none-any.whl"
    carried.write_bytes(b"wheel")
    out = write_bundle(plans, tmp_path / "bundle", "3.3.1", [carried]).folder
    lines = (out / "requirements.txt").read_text().splitlines()
    assert f"/usr/local/airflow/plugins/{carried.name}" in lines
    assert "s3fs" not in lines


def test_dags_hold_the_plans_of_now_only(plans: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write_bundle(plans, out, "3.3.1")
    (plans / "three-tier-web.yaml").rename(plans / "shop.yaml")
    done = write_bundle(plans, out, "3.3.1")
    assert sorted(path.name for path in (out / "dags").rglob("*") if path.is_file()) == [
        "recovery_plan_errors.py",
        "recovery_plans.py",
        "shop.yaml",
    ]
    assert done.plans == ("three-tier-web",)


def test_a_broken_plan_is_not_bundled(plans: Path, tmp_path: Path) -> None:
    (plans / "broken.yaml").write_text("version: 1\nname: broken\nwavess: []\n")
    with pytest.raises(BundleError, match=r"broken\.yaml") as error:
        write_bundle(plans, tmp_path / "bundle", "3.3.1")
    assert "wavess" in str(error.value)


def test_a_dags_folder_that_is_of_no_bundle_stays(plans: Path, tmp_path: Path) -> None:
    mine = tmp_path / "project" / "dags" / "mine.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("import airflow")
    done = CliRunner().invoke(
        app, ["mwaa-bundle", "--airflow", "3.3.1", "--plans", str(plans), "--out", str(tmp_path / "project")]
    )
    assert done.exit_code == 2
    assert "is no bundle: name a new folder" in done.stderr
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["dags"]
    assert mine.read_text() == "import airflow"


def test_plans_inside_the_bundle_are_not_lost(bundle: Path) -> None:
    inside = bundle / "dags" / "plans"
    with pytest.raises(BundleError, match="keep plans elsewhere"):
        write_bundle(inside, bundle, "3.3.1")
    assert (inside / "three-tier-web.yaml").is_file()


def test_a_bundle_without_a_plan_is_refused(plans: Path, tmp_path: Path) -> None:
    (plans / "three-tier-web.yaml").rename(plans / "three-tier-web.yaml.old")
    with pytest.raises(BundleError, match="holds no plan file"):
        write_bundle(plans, tmp_path / "bundle", "3.3.1")


def test_what_is_no_bundle_is_not_sent(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mwaa-sync", str(tmp_path), "--bucket", BUCKET, "--delete"])
    assert done.exit_code == 2
    assert "is no bundle" in done.stderr


def test_an_unknown_version_is_refused_with_the_known_ones(plans: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"2\.10\.1 is not .*3\.2\.1, 3\.3\.1"):
        write_bundle(plans, tmp_path / "bundle", "2.10.1")


# The stack


def test_the_stack_is_clean_by_cfn_lint(bundle: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "cfn-lint"),
        "--include-checks",
        "W",
        "--",
        str(bundle / "cloudformation.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_only_this_environment_assumes_its_role_and_the_buckets_take_tls_only() -> None:
    resources = stack("3.3.1")["Resources"]
    (trust,) = resources["ExecutionRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert "environment/${EnvironmentName}" in str(trust["Condition"]["ArnLike"]["aws:SourceArn"])
    buckets = {name for name, one in resources.items() if one["Type"] == "AWS::S3::Bucket"}
    closed = set()
    for one in resources.values():
        if one["Type"] != "AWS::S3::BucketPolicy":
            continue
        for statement in one["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}:
                assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
                closed.add(one["Properties"]["Bucket"]["Ref"])
    assert closed == buckets


def test_the_stack_has_every_recommended_setting_and_its_own_bucket() -> None:
    options = stack("3.3.1")["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    for setting in RECOMMENDED_SETTINGS:
        assert options[f"{setting.section}.{setting.key}"] == setting.value
    assert options["drs_provider.reports_folder"] == {"Fn::Sub": "s3://aws_default@${ReportsBucket}/reports"}
    assert "REPORTS_BUCKET" not in json.dumps(stack("3.3.1"))


def test_policies_fit_iam_and_belong_to_the_execution_role() -> None:
    resources = stack("3.3.1")["Resources"]
    policies = {name: item for name, item in resources.items() if item["Type"] == "AWS::IAM::ManagedPolicy"}
    assert len(policies) == 4
    for name, policy in policies.items():
        assert policy["Properties"]["Roles"] == [{"Ref": "ExecutionRole"}]
        # IAM counts a managed policy without its white space.
        assert len(json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"))) <= 6144, name


def test_the_written_stack_is_the_stack_without_yaml_aliases(bundle: Path) -> None:
    text = (bundle / "cloudformation.yaml").read_text()
    assert yaml.safe_load(text) == json.loads(json.dumps(stack("3.3.1")))
    assert "&id" not in text


# The upload


def test_the_first_upload_sends_everything_and_the_second_nothing(bundle: Path, s3: Any) -> None:
    first = synchronise(s3, bundle, BUCKET)
    assert set(first.sent) == {
        "plugins.zip",
        "requirements.txt",
        "dags/recovery_plans.py",
        "dags/recovery_plan_errors.py",
        "dags/plans/three-tier-web.yaml",
    }
    stored = s3.get_object(Bucket=BUCKET, Key="plugins.zip")
    assert stored["Body"].read() == (bundle / "plugins.zip").read_bytes()
    assert first.versions["plugins.zip"] == stored["VersionId"]
    second = synchronise(s3, bundle, BUCKET)
    assert second.sent == []
    assert second.versions == first.versions


def test_a_changed_plan_is_sent_alone_and_needs_no_update(bundle: Path, s3: Any) -> None:
    synchronise(s3, bundle, BUCKET)
    plan = bundle / "dags" / "plans" / "three-tier-web.yaml"
    plan.write_text(plan.read_text().replace("Web shop", "Web shop and blog"))
    done = synchronise(s3, bundle, BUCKET)
    assert done.sent == ["dags/plans/three-tier-web.yaml"]
    assert not EnvironmentUpdate.between(bundle, done, None).needed


def test_a_changed_package_needs_an_update_to_its_new_version(bundle: Path, s3: Any) -> None:
    before = synchronise(s3, bundle, BUCKET)
    (bundle / "plugins.zip").write_bytes(b"another")
    done = synchronise(s3, bundle, BUCKET)
    update = EnvironmentUpdate.between(bundle, done, None)
    assert update.files == {"plugins.zip": done.versions["plugins.zip"]}
    assert done.versions["plugins.zip"] != before.versions["plugins.zip"]


def test_what_the_bundle_does_not_have_is_named_and_removed_only_when_asked(bundle: Path, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="dags/plans/old.yaml", Body=b"x")
    s3.put_object(Bucket=BUCKET, Key="elsewhere/old.yaml", Body=b"x")
    done = synchronise(s3, bundle, BUCKET)
    assert (done.extra, done.removed) == (["dags/plans/old.yaml"], [])
    dry = synchronise(s3, bundle, BUCKET, delete=True, dry_run=True)
    assert dry.removed == ["dags/plans/old.yaml"]
    assert synchronise(s3, bundle, BUCKET, delete=True).removed == ["dags/plans/old.yaml"]
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert "dags/plans/old.yaml" not in keys
    assert "elsewhere/old.yaml" in keys


def test_a_dry_run_changes_nothing(bundle: Path, s3: Any) -> None:
    assert len(synchronise(s3, bundle, BUCKET, dry_run=True).sent) == 5
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_options_of_the_environment_are_compared_and_those_of_others_kept(bundle: Path) -> None:
    present = airflow_options("evidence") | {"core.parallelism": "40"}
    assert not EnvironmentUpdate.between(bundle, Synchronised(), Environment("3.3.1", present, {})).needed
    present["scheduler.scheduler_idle_sleep_time"] = "1"
    update = EnvironmentUpdate.between(bundle, Synchronised(), Environment("3.3.1", present, {}))
    assert update.options == {"scheduler.scheduler_idle_sleep_time": "0.1"}
    assert update.all_options["core.parallelism"] == "40"
    assert update.all_options["drs_provider.reports_folder"] == "s3://aws_default@evidence/reports"


def test_an_upload_that_was_never_installed_is_still_to_be(bundle: Path, s3: Any) -> None:
    first = synchronise(s3, bundle, BUCKET)
    (bundle / "plugins.zip").write_bytes(b"another")
    synchronise(s3, bundle, BUCKET)
    done = synchronise(s3, bundle, BUCKET)
    assert done.sent == []
    update = EnvironmentUpdate.between(bundle, done, Environment("3.3.1", airflow_options(), first.versions))
    assert update.files == {"plugins.zip": done.versions["plugins.zip"]}
    assert not EnvironmentUpdate.between(bundle, done, Environment("3.3.1", airflow_options(), done.versions)).needed


def environment_of(version: str, **more: Any) -> dict[str, Any]:
    """What GetEnvironment answers, by the service's own model."""
    return {"Environment": {"Name": "recovery", "AirflowVersion": version, **more}}


@pytest.fixture
def mwaa(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A client of MWAA that answers from its model, and takes the place of every other."""
    client = boto3.client("mwaa", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    make = boto3.client
    monkeypatch.setattr(
        boto3, "client", lambda service, **options: client if service == "mwaa" else make(service, **options)
    )
    with Stubber(client) as stub:
        yield stub


def test_an_environment_is_read(mwaa: Stubber) -> None:
    answer = environment_of(
        "3.3.1", PluginsS3ObjectVersion="v1", AirflowConfigurationOptions={"core.parallelism": "40"}
    )
    mwaa.add_response("get_environment", answer, {"Name": "recovery"})
    found = read_environment(boto3.client("mwaa", region_name="us-east-1"), "recovery")
    assert found == Environment("3.3.1", {"core.parallelism": "40"}, {"plugins.zip": "v1"})


# The commands


def test_the_commands_from_plans_to_bucket(plans: Path, tmp_path: Path, s3: Any) -> None:
    run = CliRunner().invoke
    out = tmp_path / "bundle"
    made = run(app, ["mwaa-bundle", "--airflow", "3.2.1", "--out", str(out), "--plans", str(plans)])
    assert made.exit_code == 0, made.output
    assert "1 plans for Airflow 3.2.1: three-tier-web" in made.output
    sync = ["mwaa-sync", str(out), "--bucket", BUCKET]
    first = run(app, sync)
    assert first.exit_code == 0, first.output
    version = s3.head_object(Bucket=BUCKET, Key="plugins.zip")["VersionId"]
    assert f"--plugins-s3-object-version {version}" in first.output
    second = run(app, sync)
    assert "unchanged: 5" in second.output
    assert "No update of the environment is needed." in second.output


def test_the_commands_say_why_they_cannot(tmp_path: Path, plans: Path, bundle: Path, s3: Any) -> None:
    made = CliRunner().invoke(
        app, ["mwaa-bundle", "--airflow", "2.9", "--out", str(tmp_path / "x"), "--plans", str(plans)]
    )
    assert made.exit_code == 2
    assert "3.3.1" in made.stderr
    refused = CliRunner().invoke(app, ["mwaa-sync", str(bundle), "--bucket", "not-there"])
    assert refused.exit_code == 2
    assert "NoSuchBucket" in refused.stderr


def test_a_bundle_for_another_version_is_not_sent(bundle: Path, s3: Any, mwaa: Stubber) -> None:
    mwaa.add_response("get_environment", environment_of("3.2.1"))
    done = CliRunner().invoke(app, ["mwaa-sync", str(bundle), "--bucket", BUCKET, "--environment", "recovery"])
    assert done.exit_code == 2
    assert "runs Airflow 3.2.1, and the bundle is for 3.3.1" in done.stderr
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_the_command_for_the_update_sets_everything_at_once(bundle: Path, s3: Any, mwaa: Stubber) -> None:
    mwaa.add_response(
        "get_environment", environment_of("3.3.1", AirflowConfigurationOptions={"core.parallelism": "40"})
    )
    done = CliRunner().invoke(app, ["mwaa-sync", str(bundle), "--bucket", BUCKET, "--environment", "recovery"])
    assert done.exit_code == 0, done.output
    words = shlex.split(done.output.strip().splitlines()[-1])
    assert words[:5] == ["aws", "mwaa", "update-environment", "--name", "recovery"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    options = json.loads(given.pop("--airflow-configuration-options"))
    assert options == airflow_options() | {"core.parallelism": "40"}
    assert given == {
        "--worker-replacement-strategy": "GRACEFUL",
        "--plugins-s3-object-version": s3.head_object(Bucket=BUCKET, Key="plugins.zip")["VersionId"],
        "--requirements-s3-object-version": s3.head_object(Bucket=BUCKET, Key="requirements.txt")["VersionId"],
    }
    # As the service's own model has them.
    shape = botocore.session.get_session().get_service_model("mwaa").operation_model("UpdateEnvironment").input_shape
    assert given.keys() <= {"--" + botocore.xform_name(name, "-") for name in shape.members}
