"""Shows reports in the browser, from wherever they lie, to whoever may see the run in Airflow."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fastapi import FastAPI

    from drs_provider.evidence.audit import Change

__all__ = ["pages"]

log = logging.getLogger(__name__)

# A report holds no script and loads nothing; should a text in it ever get past the escaping, it still does nothing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@cache
def pages() -> FastAPI:
    """Return the application: ``GET /<plan>/<run id>``, with ``?as=json`` or ``?as=markdown`` for the other two files.

    Airflow checks the caller's right to read the DAG's runs before anything is looked up. Whoever may see the DAG's
    audit log too gets a page with what people did to the run: it is made for that reader, and stored nowhere.
    """
    from fastapi import Depends, FastAPI, Query
    from fastapi.responses import PlainTextResponse, Response

    from drs_provider.airflow_compat import may_read_audit_log, request_to_read_runs
    from drs_provider.evidence.storage import (
        HTML_NAME,
        JSON_NAME,
        MARKDOWN_NAME,
        existing_report_folder,
        page_with_changes,
        read_file,
    )
    from drs_provider.evidence.storage import reports_folder as configured

    kinds = {
        "html": (HTML_NAME, "text/html"),
        "json": (JSON_NAME, "application/json"),
        "markdown": (MARKDOWN_NAME, "text/markdown"),
    }
    app = FastAPI(title="Recovery reports", openapi_url=None, docs_url=None, redoc_url=None)
    may_read = Depends(request_to_read_runs())
    audit = Depends(may_read_audit_log())

    @app.get("/{dag_id}/{run_id:path}", dependencies=[may_read])
    def report(
        dag_id: str,
        run_id: str,
        kind: Literal["html", "json", "markdown"] = Query("html", alias="as"),
        sees_audit_log: bool = audit,
    ) -> Response:
        name, media_type = kinds[kind]
        folder = existing_report_folder(configured(), dag_id, run_id)
        try:
            text = read_file(folder, name)
            if kind == "html" and sees_audit_log and (changes := _changes(dag_id, run_id)):
                text = page_with_changes(folder, changes) or text
        except FileNotFoundError:
            return PlainTextResponse(
                f"There is no report of the run {run_id} of {dag_id} at {folder}, as the API server sees it. A run "
                "writes its report at its end; a local folder is seen only by the machine that it lies on.",
                status_code=404,
            )
        return Response(text, media_type=media_type, headers=_HEADERS)

    return app


def _changes(dag_id: str, run_id: str) -> list[Change]:
    """Return what people did to the run; nothing where the log cannot be read, which is no reason to have no page."""
    from drs_provider.evidence.audit import changes_of

    try:
        return changes_of(dag_id, run_id)
    except Exception:
        log.exception("The audit log of %s cannot be read", dag_id)
        return []
