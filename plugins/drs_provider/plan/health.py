"""Health checks: when a wave counts as up."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from drs_provider.plan.scalars import PlanModel, Port, Span, UrlPath

__all__ = ["HealthCheck", "HttpCheck", "InstanceStatusCheck", "SsmOnlineCheck", "TcpCheck"]


Via = Literal["worker", "ssm"]
_VIA = "Who asks: the Airflow worker, or the instance itself by an SSM command. Default: worker."


class InstanceStatusCheck(PlanModel):
    """Both EC2 status checks of every recovery instance of the wave pass."""

    type: Literal["instance_status"] = Field(description="Both EC2 status checks pass.")
    timeout: Span = Field(timedelta(minutes=15), description="How long to wait for it. Default: 15m.")


class SsmOnlineCheck(PlanModel):
    """The SSM agent of every recovery instance of the wave is online."""

    type: Literal["ssm_online"] = Field(description="The SSM agent answers, so that scripts can run.")
    timeout: Span = Field(timedelta(minutes=15), description="How long to wait for it. Default: 15m.")


class TcpCheck(PlanModel):
    """A port of every recovery instance of the wave accepts a connection."""

    type: Literal["tcp"] = Field(description="A port accepts connections.")
    port: Port = Field(description="The TCP port, 1 to 65535.")
    via: Via = Field("worker", description=_VIA)
    timeout: Span = Field(timedelta(minutes=5), description="How long to wait for it. Default: 5m.")


class HttpCheck(PlanModel):
    """A URL on every recovery instance of the wave answers with the expected status."""

    type: Literal["http"] = Field(description="A URL answers with the expected status.")
    path: UrlPath = Field(description="The path, with the query if any: /healthz.")
    port: Port | None = Field(None, description="The TCP port. Default: 80, or 443 with scheme https.")
    expect: int = Field(200, ge=100, le=599, description="The HTTP status that means healthy. Default: 200.")
    via: Via = Field("worker", description=_VIA)
    scheme: Literal["http", "https"] = Field("http", description="Default: http.")
    timeout: Span = Field(timedelta(minutes=5), description="How long to wait for it. Default: 5m.")

    @property
    def effective_port(self) -> int:
        """The port to ask: the plan's, or the scheme's own."""
        return self.port or (443 if self.scheme == "https" else 80)


HealthCheck = Annotated[InstanceStatusCheck | SsmOnlineCheck | TcpCheck | HttpCheck, Field(discriminator="type")]
