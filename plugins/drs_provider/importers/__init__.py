"""Recovery plans that people have elsewhere, as plan files.

A module for each shape reads it into a :class:`~drs_provider.importers.source_plan.SourcePlan`;
:mod:`~drs_provider.importers.plan_file` makes the plan file of that, with a comment wherever meaning was decided. What
has no counterpart goes into the :class:`~drs_provider.importers.report.ImportReport`, never silently away.
"""
