"""Whether a caller may make a call, where a scenario enforces IAM.

Credentials that IAM does not know, such as `testing`, are the account's root user and may do everything: a test makes
its roles with them, and then calls as a role.
"""

from __future__ import annotations

from typing import Any

from drs_provider.simulator.policies import Context, Document, concerning, decision, documents_of_caller

__all__ = ["Caller", "explain"]


class Caller:
    """Whoever signed a call.

    :param account: the account that is called.
    :param region: the region that is called.
    :param documents: the policies; None for the root user.
    :param arn: the ARN of the user, or of the role's session.
    :param principal: the ARN of the user or role itself, as policies name it.
    """

    def __init__(
        self, account: str, region: str, documents: list[Document] | None, arn: str = "", principal: str = ""
    ) -> None:
        self.account = account
        self.region = region
        self.documents = documents
        self.arn = arn or f"arn:aws:iam::{account}:root"
        self.principal = principal or self.arn
        self._concerning: dict[str, list[Document]] = {}

    @classmethod
    def of(cls, account: str, region: str, access_key: str, headers: Any) -> Caller:
        """The caller of a request."""
        return cls(account, region, *documents_of_caller(account, access_key, headers))

    @property
    def is_root(self) -> bool:
        """Whether IAM knows nobody behind the credentials, who may then do everything."""
        return self.documents is None

    def may(self, action: str, resource: str | None, context: Context) -> bool:
        """Whether the policies allow an action on a resource.

        :param context: condition keys of the request and of the resource; the caller's own are added.
        """
        if self.documents is None:
            return True
        if action not in self._concerning:
            self._concerning[action] = concerning(self.documents, action)
        own = {"aws:PrincipalArn": self.principal, "aws:PrincipalAccount": self.principal.split(":")[4]}
        return decision(self._concerning[action], action, resource, {**own, **context}) == "allowed"


def explain(who: Caller, action: str, resource: str | None) -> str:
    """AWS's words for a denial."""
    on = f" on resource: {resource}" if resource not in (None, "*") else ""
    return (
        f"User: {who.arn} is not authorized to perform: {action}{on} "
        f"because no identity-based policy allows the {action} action"
    )
