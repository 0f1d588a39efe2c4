"""The runbook of a plan: the document for the night when Airflow is gone too."""
