"""Service Quotas in one account and region: those of DRS with the values of the scenario, and the few that moto has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS

from drs_provider.simulator.quotas import DRS_QUOTAS, SERVICE_CODE, Quota, quota_values

if TYPE_CHECKING:
    from drs_provider.simulator.runtime import Runtime
    from drs_provider.simulator.scenario import AccountSpec

__all__ = ["NoSuchResource", "QuotasBackend", "seed", "servicequotas_backends"]

_SERVICE_NAME: Final = "AWS Elastic Disaster Recovery (DRS)"


class NoSuchResource(ServiceException):
    """There is no such service or quota."""

    code = "NoSuchResourceException"
    message = "The request failed because the specified service or quota does not exist."


class QuotasBackend(ServiceQuotasBackend):
    """The quotas of one account and region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.values = quota_values({})

    def quotas(self, service_code: str, default: bool = False) -> list[dict[str, Any]]:
        """The quotas of a service as the service model names them, by code.

        :param default: AWS's own values in the place of the account's.
        :raises NoSuchResource: the service has no quotas here.
        """
        if service_code == SERVICE_CODE:
            found = [self._drs_quota(quota, default) for quota in DRS_QUOTAS]
        elif service_code == "vpc":
            found = list(VPC_DEFAULT_QUOTAS)
        else:
            raise NoSuchResource
        return sorted(found, key=lambda quota: str(quota["QuotaCode"]))

    def quota(self, service_code: str, quota_code: str, default: bool = False) -> dict[str, Any]:
        """One quota.

        :raises NoSuchResource: there is no such quota.
        """
        for quota in self.quotas(service_code, default):
            if quota["QuotaCode"] == quota_code:
                return quota
        raise NoSuchResource

    def _drs_quota(self, quota: Quota, default: bool) -> dict[str, Any]:
        owner = "" if default else self.account_id
        return {
            "ServiceCode": SERVICE_CODE,
            "ServiceName": _SERVICE_NAME,
            "QuotaArn": f"arn:{self.partition}:servicequotas:{self.region_name}:{owner}:{SERVICE_CODE}/{quota.code}",
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Value": float(quota.default if default else self.values[quota.key]),
            "Unit": "None",
            "Adjustable": quota.adjustable,
            "GlobalQuota": False,
            "QuotaAppliedAtLevel": "ACCOUNT",
        }


servicequotas_backends = BackendDict(QuotasBackend, "service-quotas")


def seed(simulation: Runtime, account: str, region: str, site: AccountSpec) -> None:
    """Put the quotas that a scenario names for an account and region in force."""
    servicequotas_backends[account][region].values = quota_values(site.quotas)
