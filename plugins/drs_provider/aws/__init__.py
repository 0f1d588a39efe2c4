"""The one way to AWS: clients, pages, retries and faults, DRS, SSM and EC2. Knows neither Airflow nor plans."""
