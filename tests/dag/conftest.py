"""What the tests of this room share."""

from tests.xcoms import xcoms_of_other_tasks

__all__ = ["xcoms_of_other_tasks"]
