"""Names of AWS regions: one that is certainly misspelt, and one that this version does not know.

A region that AWS opens tomorrow has known words and another number, or a new word: it is not an error here.
"""

from __future__ import annotations

from difflib import get_close_matches

__all__ = ["REGIONS", "misspelt", "unknown"]

REGIONS = frozenset(
    {
        "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
        "ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
        "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1",
        "cn-northwest-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1",
        "eu-west-2", "eu-west-3", "eusc-de-east-1", "il-central-1", "me-central-1", "me-south-1",
        "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1",
        "us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "us-isof-east-1",
        "us-isof-south-1", "eu-isoe-west-1", "us-west-1", "us-west-2",
    }
)  # fmt: skip
"""The regions of botocore's endpoints.json; a plan is checked where there is no botocore."""

_WORDS = {word for region in REGIONS for word in region.split("-")[:-1]}


def misspelt(region: str) -> str | None:
    """Return the region that a name was meant to be, where a word of it is none that regions have; else None."""
    words = region.split("-")[:-1]
    if region in REGIONS or all(word in _WORDS for word in words):
        return None
    near = get_close_matches(region, sorted(REGIONS), n=1, cutoff=0.75)
    return near[0] if near else None


def unknown(region: str) -> str | None:
    """Return ``"; did you mean X?"``, or an empty text, for a region that is not known and may be new; else None."""
    if region in REGIONS or misspelt(region):
        return None
    stem = region.rpartition("-")[0]
    same = sorted(one for one in REGIONS if one.rpartition("-")[0] == stem)
    near = same or get_close_matches(region, sorted(REGIONS), n=1, cutoff=0.75)
    return f"; did you mean {' or '.join(near)}?" if near else ""
