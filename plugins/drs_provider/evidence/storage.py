"""Where reports lie: ``<reports folder>/<plan>/<run>/`` with ``report.json``, ``report.html`` and ``summary.md``.

The folder is local, or anything that Airflow's object storage reaches, such as ``s3://aws_default@bucket/reports``. A
report counts as written when its JSON is there, which is why that is written last, and never half: a local file is put
in place by a rename, and an object store shows an object once it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.record import RunRecord
from drs_provider.stored_files import make_folder, stored_path, write_whole

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from drs_provider.evidence.audit import Change

__all__ = [
    "HTML_NAME",
    "JSON_NAME",
    "MARKDOWN_NAME",
    "StoredReport",
    "UnreadableReport",
    "existing_report_folder",
    "page_with_changes",
    "read_evidence",
    "read_file",
    "read_report",
    "report_folder",
    "reports_folder",
    "reports_of",
    "run_folders",
    "safe_name",
    "write_report",
]

JSON_NAME = "report.json"
HTML_NAME = "report.html"
MARKDOWN_NAME = "summary.md"

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGEST = re.compile(r"-([0-9a-f]{8}|[0-9a-f]{16})$")
_LONGEST = 120


@dataclass(frozen=True)
class StoredReport:
    """Where the three files of a report lie, each as a path or URL; as text, their folder.

    :param sha256: the digest of the JSON, in hexadecimal digits.
    """

    folder: str
    json: str
    html: str
    markdown: str
    sha256: str

    def __str__(self) -> str:
        return self.folder


class UnreadableReport(ValueError):
    """A file that is not the JSON of a report; the message says which file, and why."""


def reports_folder() -> str:
    """Return the folder of ``[drs_provider] reports_folder``: by default ``reports`` under AIRFLOW_HOME."""
    from airflow.providers.common.compat.sdk import conf

    from drs_provider.airflow_compat import airflow_home

    return conf.get("drs_provider", "reports_folder", fallback="") or os.path.join(airflow_home(), "reports")  # noqa: PTH118


def safe_name(text: str) -> str:
    """Return a plan's name or a run id as the name of a folder on any file system and in any URL.

    What is not safe is replaced, and then a digest of the whole is put at the end. A text that ends like such a digest
    gets one too: whoever chooses a run id must not choose the folder of another run.
    """
    clean = _UNSAFE.sub("-", text)[:_LONGEST].strip(".-")
    if clean == text and clean and not _DIGEST.search(clean):
        return text
    return f"{clean or 'run'}-{_sha256(text)[:16]}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _earlier_name(text: str) -> str:
    """Return the name that versions before 0.2 gave a folder: its digest was shorter."""
    clean = _UNSAFE.sub("-", text)[:_LONGEST].strip(".-")
    if clean == text and clean:
        return text
    return f"{clean or 'run'}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def report_folder(folder: str, plan: str, run_id: str) -> str:
    """Return the folder of one run's report, whether it exists or not."""
    return f"{folder.rstrip('/')}/{safe_name(plan)}/{safe_name(run_id)}"


def existing_report_folder(folder: str, plan: str, run_id: str) -> str:
    """Return the folder where the report of a run lies; that of :func:`report_folder` where there is none yet.

    An earlier version of the package may have written it to a folder that another run can share. What lies there counts
    only if it is of this run.

    :param folder: the reports folder.
    :param plan: the plan's name.
    :param run_id: Airflow's run id.
    """
    place = report_folder(folder, plan, run_id)
    earlier = f"{folder.rstrip('/')}/{safe_name(plan)}/{_earlier_name(run_id)}"
    if earlier != place and not (stored_path(place) / JSON_NAME).exists():
        with contextlib.suppress(FileNotFoundError, UnreadableReport, UnicodeDecodeError):
            if read_report(earlier).run.run_id == run_id:
                return earlier
    return place


def write_report(record: RunRecord, folder: str | None = None) -> StoredReport:
    """Write the three files of a report, JSON last; a report of the same run is replaced.

    :param record: the evidence of the run.
    :param folder: the reports folder; that of the configuration by default.
    :raises OSError: when the folder cannot be written, or the object store's own error.
    """
    return write_files(record, report_folder(folder or reports_folder(), record.plan.name, record.run.run_id))


def write_files(record: RunRecord, folder: str, *, evidence: bool = True, of: str | None = None) -> StoredReport:
    """Write the three files of a report into exactly this folder.

    :param evidence: whether the JSON is written, too; a file that was read is not to be changed by that.
    :param of: the JSON that the record was read from, where it was; the page names its digest.
    """
    root = stored_path(folder)
    make_folder(root)
    text = record.to_json() if evidence or of is None else of
    digest = _sha256(text)
    texts = {HTML_NAME: render_html(record, digest=digest), MARKDOWN_NAME: render_markdown(record, digest=digest)}
    if evidence:
        texts[JSON_NAME] = text
    for name, text in texts.items():
        write_whole(root, name, text)
    json_at, html_at, markdown_at = (str(root / name) for name in (JSON_NAME, HTML_NAME, MARKDOWN_NAME))
    return StoredReport(str(root), json_at, html_at, markdown_at, sha256=digest)


def page_with_changes(folder: str, changes: Sequence[Change]) -> str | None:
    """Return the page of a report with what people did to the run in Airflow; None where its JSON cannot be read.

    :param folder: of :func:`report_folder`.
    :param changes: of :func:`drs_provider.evidence.audit.changes_of`.
    """
    try:
        evidence = read_file(folder, JSON_NAME)
        return render_html(RunRecord.model_validate_json(evidence), digest=_sha256(evidence), changes=changes)
    except (FileNotFoundError, ValidationError, UnicodeDecodeError):
        return None


def read_file(folder: str, name: str) -> str:
    """Return one of the files of a report as it is.

    :param folder: of :func:`report_folder`.
    :param name: :data:`HTML_NAME`, :data:`JSON_NAME` or :data:`MARKDOWN_NAME`.
    :raises FileNotFoundError: when there is none.
    """
    return (stored_path(folder) / name).read_text(encoding="utf-8")


def read_report(path: str) -> RunRecord:
    """Read a report again.

    :param path: its JSON file, or the folder that holds it; a path or a URL.
    :raises FileNotFoundError: when there is none.
    :raises UnreadableReport: when it is not the JSON of a report.
    """
    return read_evidence(path)[0]


def read_evidence(path: str) -> tuple[RunRecord, str]:
    """Read a report again, and return it with the text of its JSON, of which the digest is.

    :param path: as for :func:`read_report`.
    :raises FileNotFoundError: when there is none.
    :raises UnreadableReport: when it is not the JSON of a report.
    """
    file = stored_path(path)
    if not path.endswith(".json"):
        file = file / JSON_NAME
    text = file.read_text(encoding="utf-8")
    try:
        return RunRecord.model_validate_json(text), text
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UnreadableReport(f"{file} is not a report of this version: {where}: {first['msg']}") from None


def reports_of(plan: str, folder: str | None = None) -> tuple[list[RunRecord], list[str]]:
    """Return the reports of a plan's runs, oldest first, and what was wrong with those that could not be read.

    :param plan: the plan's name.
    :param folder: the reports folder; that of the configuration by default.
    """
    records, problems = [], []
    for run in run_folders(plan, folder):
        try:
            records.append(read_report(run))
        except FileNotFoundError:
            # Written at this moment: its JSON comes last.
            continue
        except (UnreadableReport, UnicodeDecodeError, OSError) as error:
            problems.append(f"{run}: {error}")
    return sorted(records, key=lambda record: record.run.started or record.generated), problems


def run_folders(plan: str, folder: str | None = None) -> list[str]:
    """Return the folders of a plan's runs, by name.

    :param plan: the plan's name.
    :param folder: the reports folder; that of the configuration by default.
    """
    root = stored_path(f"{(folder or reports_folder()).rstrip('/')}/{safe_name(plan)}")
    return [str(run) for run in _folders(root)]


def _folders(root: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    try:
        yield from (entry for entry in sorted(root.iterdir(), key=str) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
