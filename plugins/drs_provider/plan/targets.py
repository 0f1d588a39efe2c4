"""Where a plan acts: the account and region of a wave, and of a script that names another.

A target is reached by an Airflow connection. Which account that is, only AWS knows: ``account`` says which one the plan
means, and a run compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from drs_provider.plan.scalars import AccountId, PlanModel, Region, Text

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan

__all__ = ["DEFAULT", "NamedTarget", "Target", "simulated_accounts", "simulated_role", "target_named"]

DEFAULT = "default"
"""The name of the plan's own ``target`` beside those under ``targets``."""


class Target(PlanModel):
    """Where DRS launches, and with which credentials."""

    region: Region = Field(description="The recovery region, where DRS launches.")
    aws_conn_id: Text = Field(
        "aws_default",
        description="An Airflow connection; a role_arn there reaches another account. Default: aws_default.",
    )
    account: AccountId | None = Field(
        None,
        description="The AWS account id, 12 digits in quotes. A run is refused where the connection leads to another "
        "account. Default: whichever account the connection leads to.",
    )
    staging_accounts: Annotated[tuple[AccountId, ...], Field(strict=False)] = Field(
        (),
        max_length=100,
        description="Accounts that replicate servers which this one recovers, in the same region: `drs-plan extend` "
        "extends what waves select there. Default: none.",
    )


@dataclass(frozen=True)
class NamedTarget:
    """A target with the name that the plan has for it.

    :param name: its name under ``targets``, or :data:`DEFAULT`.
    """

    name: str
    target: Target

    @property
    def region(self) -> str:
        """The AWS region."""
        return self.target.region

    @property
    def aws_conn_id(self) -> str:
        """The id of the Airflow connection."""
        return self.target.aws_conn_id

    @property
    def account(self) -> str | None:
        """The account id that the plan states, 12 digits; None where it states none."""
        return self.target.account

    @property
    def key(self) -> tuple[str, str]:
        """Connection and region: two targets with the same key are the same place, whatever their names."""
        return self.aws_conn_id, self.region

    def __str__(self) -> str:
        return self.region if self.name == DEFAULT else f"{self.name} ({self.region})"


def target_named(name: str | None, target: Target | None, targets: Mapping[str, Target]) -> NamedTarget:
    """Return the target of a name.

    :param name: what a wave or a script says; None where it says nothing.
    :param target: the plan's own.
    :param targets: the others, by name.
    :raises KeyError: the plan has no such target.
    """
    if name is not None and name in targets:
        return NamedTarget(name, targets[name])
    if target is None or name not in (None, DEFAULT):
        raise KeyError(name or DEFAULT)
    return NamedTarget(DEFAULT, target)


def simulated_accounts(plan: RecoveryPlan) -> dict[str, str]:
    """Return the account that each connection leads to in a simulation, for those that lead elsewhere than the first.

    :param plan: a plan; where it states no account, one is made up.
    """
    others = [place for place in plan.every_target if place.aws_conn_id != plan.default_target.aws_conn_id]
    connections = {place.aws_conn_id: plan.account_of(place) for place in others}
    return {
        connection: account or f"2000000000{number:02d}"
        for number, (connection, account) in enumerate(connections.items())
    }


def simulated_role(account: str) -> str:
    """Return the ARN of the role by which a simulated account is reached."""
    return f"arn:aws:iam::{account}:role/drs-plan/rehearsal"
