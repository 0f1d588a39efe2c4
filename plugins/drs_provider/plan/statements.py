"""What a step may do in AWS: statements of an IAM policy, of which the shipped policies are made.

Preflight simulates the actions that a plan needs from the same statements, so policy and check cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["OWN_ROLES", "SERVICE_ROLES", "Grant", "ec2_arns", "policy"]

SERVICE_ROLES = "arn:aws:iam::*:role/service-role/AWSElasticDisasterRecovery"
OWN_ROLES = "arn:aws:iam::*:role/drs-plan/*"


@dataclass(frozen=True)
class Grant:
    """One statement of the policy.

    :param sid: its Sid.
    :param need: what it is needed for: a kind of step says which needs its steps have.
    :param actions: IAM actions.
    :param resources: ARN patterns.
    :param condition: an IAM condition block.
    :param reason: why, for the reader of the policy.
    :param optional: whether the provider does without it, with less to tell.
    """

    sid: str
    need: str
    actions: tuple[str, ...]
    reason: str
    resources: tuple[str, ...] = ("*",)
    condition: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    def statement(self) -> dict[str, Any]:
        """The grant as an IAM policy statement."""
        resource: Any = list(self.resources) if len(self.resources) > 1 else self.resources[0]
        base = {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions), "Resource": resource}
        return {**base, "Condition": dict(self.condition)} if self.condition else base


def ec2_arns(*kinds: str) -> tuple[str, ...]:
    """Return ARN patterns of EC2 resources.

    :param kinds: their types, such as ``instance``.
    """
    return tuple(f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds)


def policy(grants: Iterable[Grant]) -> dict[str, Any]:
    """Return an IAM policy document of grants.

    :param grants: the grants, in order.
    """
    return {"Version": "2012-10-17", "Statement": [grant.statement() for grant in grants]}
