# syntax=docker/dockerfile:1
# Airflow with the project's wheel, in the versions that the project is tested with. Two targets: `airflow`, and
# `simulator`, which adds what simulates AWS and is in no production image.
ARG AIRFLOW_VERSION=3.3.2
ARG PYTHON_VERSION=3.12

FROM apache/airflow:${AIRFLOW_VERSION}-python${PYTHON_VERSION} AS wheel
WORKDIR /tmp/source
COPY --chown=airflow:0 pyproject.toml README.md LICENSE NOTICE ./
COPY --chown=airflow:0 constraints ./constraints
COPY --chown=airflow:0 dags ./dags
COPY --chown=airflow:0 plugins ./plugins
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheel .

FROM apache/airflow:${AIRFLOW_VERSION}-python${PYTHON_VERSION} AS airflow
ARG AIRFLOW_VERSION
ARG PYTHON_VERSION
COPY --from=wheel /tmp/wheel /tmp/wheel
COPY constraints/airflow-${AIRFLOW_VERSION}-py${PYTHON_VERSION}.txt /tmp/constraints.txt
RUN python -m pip install --no-cache-dir --constraint /tmp/constraints.txt --find-links /tmp/wheel airflow-provider-aws-drs apache-airflow-providers-celery apache-airflow-providers-git apache-airflow-providers-postgres apache-airflow-providers-redis flower s3fs
RUN airflow providers list --output plain | grep airflow-provider-aws-drs

FROM airflow AS simulator
RUN python -m pip install --no-cache-dir --constraint /tmp/constraints.txt --find-links /tmp/wheel "airflow-provider-aws-drs[simulator]"
RUN drs-sim --help > /dev/null

# What `docker build .` makes without a --target.
FROM airflow
