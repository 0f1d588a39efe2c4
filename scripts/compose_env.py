"""Write the secrets of docker-compose.yaml into .env: what is missing is added, what is there stays as it is."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

__all__ = ["missing_lines", "write_env"]

# Python's standard library alone: the machine that runs Compose needs no virtual environment.
_VARIABLES: dict[str, Callable[[], str]] = {
    "COMPOSE_PROFILES": lambda: "simulator",
    # Never root: the image's own user then, whose group may write what this user makes.
    "AIRFLOW_UID": lambda: str(os.getuid() or 50000),
    "FERNET_KEY": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "JWT_SECRET": lambda: secrets.token_hex(32),
    "API_SECRET_KEY": lambda: secrets.token_hex(32),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(16),
    "REDIS_PASSWORD": lambda: secrets.token_hex(16),
    "FLOWER_PASSWORD": lambda: secrets.token_hex(16),
    "AIRFLOW_PASSWORDS": lambda: f"""'{{"admin": "{secrets.token_urlsafe(12)}"}}'""",
}


def missing_lines(text: str) -> list[str]:
    """Return the lines that an .env file of this text lacks, with new secrets."""
    present = {line.partition("=")[0].strip() for line in text.splitlines() if not line.lstrip().startswith("#")}
    return [f"{name}={make()}" for name, make in _VARIABLES.items() if name not in present]


def write_env(path: Path) -> list[str]:
    """Complete an .env file, readable by its owner only.

    :param path: the file; made where it is missing.
    :returns: the names of the variables that were added.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = missing_lines(text)
    if text and not text.endswith("\n"):
        text += "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return [line.partition("=")[0] for line in lines]


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    # Made here, and not by the Docker daemon, so that it belongs to the user whose id the containers run under.
    if not (reports := root / "reports").exists():
        reports.mkdir()
        reports.chmod(0o775)
    added = write_env(root / ".env")
    print(f".env: added {', '.join(added)}" if added else ".env: complete, nothing was changed")  # noqa: T201
