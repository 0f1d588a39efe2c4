"""Source servers of a staging account, extended into the account that recovers them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.drs.launches import ONE, THREE, TWO, ends, refusal, server, start

STAGING = "222222222222"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def extensible(drs: Any) -> list[str]:
    return [one["arn"] for one in drs.list_extensible_source_servers(stagingAccountID=STAGING)["items"]]


def load_accounts(simulator: Any) -> list[str]:
    staged = [server(TWO, ebs_encryption="CUSTOM", tags={"Tier": "db"}), server(THREE)]
    simulator.load({"servers": [server(ONE)], "accounts": [{"account": STAGING, "servers": staged}]})
    return [f"arn:aws:drs:us-west-2:{STAGING}:source-server/{one}" for one in (TWO, THREE)]


def test_a_server_of_a_staging_account_is_extended_shown_and_launched(drs_simulator, drs):
    two, three = load_accounts(drs_simulator)
    assert drs.list_staging_accounts()["accounts"] == []
    assert extensible(drs) == [two, three]
    made = drs.create_extended_source_server(sourceServerArn=two, tags={"mine": "1"})["sourceServer"]
    assert made["stagingArea"] == {
        "status": "EXTENDED",
        "stagingAccountID": STAGING,
        "stagingSourceServerArn": two,
    }
    assert (made["tags"], made["sourceServerID"] == TWO) == ({"mine": "1"}, False)
    assert extensible(drs) == [three]
    assert drs.list_staging_accounts()["accounts"] == [{"accountID": STAGING}]
    of_staging = drs.describe_source_servers(filters={"stagingAccountIDs": [STAGING]})["items"]
    assert [one["sourceServerID"] for one in of_staging] == [made["sourceServerID"]]
    job = start(drs, made["sourceServerID"])
    drs_simulator.advance(700)
    assert ends(drs, job) == {made["sourceServerID"]: "LAUNCHED"}


def test_what_cannot_be_extended(drs_simulator, drs):
    two, three = load_accounts(drs_simulator)
    drs.create_extended_source_server(sourceServerArn=two)
    assert refusal(drs.create_extended_source_server, sourceServerArn=two) == ("ValidationException", 400)
    unknown = f"arn:aws:drs:us-west-2:{STAGING}:source-server/s-{'9' * 17}"
    assert refusal(drs.create_extended_source_server, sourceServerArn=unknown) == ("ResourceNotFoundException", 404)
    foreign = refusal(drs.list_extensible_source_servers, stagingAccountID="333333333333")
    assert foreign == ("AccessDeniedException", 403)
    broken = drs.create_extended_source_server(sourceServerArn=three)["sourceServer"]
    assert broken["stagingArea"]["status"] == "EXTENSION_ERROR", "the default key of EBS is never shared"
    chosen = [{"sourceServerID": broken["sourceServerID"]}]
    assert refusal(drs.start_recovery, sourceServers=chosen) == ("ConflictException", 409)
