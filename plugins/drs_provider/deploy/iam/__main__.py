"""Writes the IAM policy documents next to this module."""

from drs_provider.deploy.iam import FOLDER, documents, render

if __name__ == "__main__":
    for name, document in documents().items():
        (FOLDER / name).write_text(render(document), encoding="utf-8")
