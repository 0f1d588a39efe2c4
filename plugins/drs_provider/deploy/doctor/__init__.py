"""What is wrong with an installation, and what to do about it: the checks behind ``drs-plan doctor``."""

from drs_provider.deploy.doctor.advice import Advice, Level

__all__ = ["Advice", "Level"]
