"""A recovery plan rehearsed on one machine: a private Airflow and the simulator, started, watched and stopped.

``drs-plan rehearse``, ``make demo`` and the end-to-end tests all use this package. It starts the simulator as a
process of its own, so that nothing here imports it.
"""
