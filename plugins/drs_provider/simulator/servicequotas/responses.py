"""Service Quotas over HTTP: GetServiceQuota, ListServiceQuotas and their defaults."""

from __future__ import annotations

import json
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from drs_provider.simulator.pagination import InvalidToken, page
from drs_provider.simulator.servicequotas.models import QuotasBackend, servicequotas_backends
from drs_provider.simulator.validation import violations

__all__ = ["QuotasResponse"]

_LONGEST_PAGE = 100


class IllegalArgument(ServiceException):
    """A request does not fit the service model."""

    code = "IllegalArgumentException"


class InvalidPaginationToken(ServiceException):
    """A page token is none that was given out."""

    code = "InvalidPaginationTokenException"
    message = "Invalid input was provided for the pagination token."


class QuotasResponse(BaseResponse):
    """Reads requests and writes answers."""

    def __init__(self) -> None:
        super().__init__(service_name="service-quotas")

    @property
    def backend(self) -> QuotasBackend:
        """The account and region that the caller means."""
        backend: QuotasBackend = servicequotas_backends[self.current_account][self.region]
        return backend

    def get_service_quota(self) -> ActionResult:
        """The value in force."""
        request = self._request("GetServiceQuota")
        return ActionResult({"Quota": self.backend.quota(request["ServiceCode"], request["QuotaCode"])})

    def get_aws_default_service_quota(self) -> ActionResult:
        """AWS's own value."""
        request = self._request("GetAWSDefaultServiceQuota")
        return ActionResult({"Quota": self.backend.quota(request["ServiceCode"], request["QuotaCode"], default=True)})

    def list_service_quotas(self) -> ActionResult:
        """The values in force, by code."""
        request = self._request("ListServiceQuotas")
        wanted = request.get("QuotaCode")
        quotas = self.backend.quotas(request["ServiceCode"])
        return self._listed([quota for quota in quotas if wanted in (None, quota["QuotaCode"])], request)

    def list_aws_default_service_quotas(self) -> ActionResult:
        """AWS's own values, by code."""
        request = self._request("ListAWSDefaultServiceQuotas")
        return self._listed(self.backend.quotas(request["ServiceCode"], default=True), request)

    def _request(self, operation: str) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(self.body or "{}")
        problem = violations("service-quotas", operation, request)
        if problem:
            raise IllegalArgument(problem)
        return request

    def _listed(self, quotas: list[dict[str, Any]], request: dict[str, Any]) -> ActionResult:
        size = request.get("MaxResults")
        try:
            shown, token = page(quotas, lambda quota: quota["QuotaCode"], request.get("NextToken"), size, _LONGEST_PAGE)
        except InvalidToken as error:
            raise InvalidPaginationToken from error
        return ActionResult({"Quotas": shown, "NextToken": token} if token else {"Quotas": shown})
