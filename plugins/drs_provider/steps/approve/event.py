"""What is recorded of a person's decision."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Text

__all__ = ["ApprovalEvent"]


class ApprovalEvent(Event):
    """A person was asked, from ``started`` until ``ended``.

    ``status`` is the decision: ``approved``, ``rejected``, ``timed out``, ``break glass`` or ``refused: why``.

    :param where: the wave's name, ``recovery`` for the whole run, or ``rollback``.
    :param approver: who decided; None where nobody answered.
    :param comment: the reason with which the glass was broken.
    """

    kind: Literal["approval"] = "approval"
    where: str
    approver: Text = None
    comment: Text = None
