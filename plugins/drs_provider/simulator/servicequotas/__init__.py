"""Service Quotas for DRS, beside the services that moto itself answers for."""
