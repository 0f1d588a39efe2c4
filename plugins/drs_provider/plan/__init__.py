"""The plan file: from YAML to a model that cannot be wrong. Imports neither Airflow nor an AWS library.

``load_plan(path)`` reads one file, ``read_plans(folder)`` a folder, ``find_plan(folder, name)`` the one plan that a
worker needs.
"""

from drs_provider.plan.defaults import Defaults
from drs_provider.plan.graph import critical_path, dependents, levels
from drs_provider.plan.health import HealthCheck, HttpCheck, InstanceStatusCheck, SsmOnlineCheck, TcpCheck
from drs_provider.plan.loading import LoadedPlan, PlanFolder, find_plan, load_plan, plan_hash, read_plans
from drs_provider.plan.models import Drill, Notification, Objectives, Recovery, RecoveryPlan, Target
from drs_provider.plan.problems import PlanError, Problem
from drs_provider.plan.waves import Approval, ProtectionGroup, Script, ServerSelector, Targets, Wave
from drs_provider.plan.writing import dump_plan

__all__ = [
    "Approval",
    "Defaults",
    "Drill",
    "HealthCheck",
    "HttpCheck",
    "InstanceStatusCheck",
    "LoadedPlan",
    "Notification",
    "Objectives",
    "PlanError",
    "PlanFolder",
    "Problem",
    "ProtectionGroup",
    "Recovery",
    "RecoveryPlan",
    "Script",
    "ServerSelector",
    "SsmOnlineCheck",
    "Target",
    "Targets",
    "TcpCheck",
    "Wave",
    "critical_path",
    "dependents",
    "dump_plan",
    "find_plan",
    "levels",
    "load_plan",
    "plan_hash",
    "read_plans",
]
