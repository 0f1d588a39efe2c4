"""How long a drill of a plan will take, before the first one: servers, jobs under the quotas, a schedule, the RTO.

:mod:`~drs_provider.estimate.forecast` makes the estimate of a plan from a
:class:`~drs_provider.estimate.site.Site` (the servers and quotas of an account or a scenario) and a
:class:`~drs_provider.estimate.durations.Durations` (what things take).
"""
