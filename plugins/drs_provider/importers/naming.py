"""Names of the source as names of a plan file: lower-case letters, digits, - and _, each once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

__all__ = ["LegalNames"]

_LONGEST = 100


class LegalNames:
    """Hands out legal names, none of them twice.

    :param taken: names that are not to be had.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def legal(self, name: str, otherwise: str, longest: int = _LONGEST) -> str:
        """Return a legal name for a name of the source, and keep it.

        :param name: the source's name; taken as it is where it is legal and free.
        :param otherwise: a legal name for one that holds no letter and no digit.
        :param longest: the most characters.
        """
        ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        base = re.sub(r"[^a-z0-9_]+", "-", ascii_name.lower()).strip("-_")[:longest].rstrip("-_")
        base = name if _is_legal(name, longest) else base or otherwise
        found, number = base, 1
        while found in self._taken:
            number += 1
            found = f"{base[: longest - len(str(number)) - 1]}-{number}"
        self._taken.add(found)
        return found

    def all_legal(self, names: Mapping[str, str], otherwise: str) -> dict[str, str]:
        """Return legal names; of two that would be one, the name that is legal as it is stays.

        :param names: names by a key of the caller's.
        :param otherwise: begins the name of what has no letter and no digit, in front of its number.
        :return: legal names by the same keys.
        """
        numbers = {key: number for number, key in enumerate(names, 1)}
        first = sorted(names, key=lambda key: not _is_legal(names[key], _LONGEST))
        found = {key: self.legal(names[key], f"{otherwise}-{numbers[key]}") for key in first}
        return {key: found[key] for key in names}


def _is_legal(name: str, longest: int) -> bool:
    return len(name) <= longest and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) is not None
