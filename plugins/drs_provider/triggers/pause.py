"""A pause in the triggerer, until a moment."""

from __future__ import annotations

import time
from typing import Any

from drs_provider.triggers.posts import Post
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["PauseTrigger"]


class PauseTrigger(WaitTrigger):
    """
    Waits until its ``deadline``, which is a success.

    :param deadline: When the pause is over, in epoch seconds.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    async def wait(self, post: Post) -> None:
        """Pause."""
        post.progress.show(what="a pause")
        await post.sleep(max(self.deadline - time.time(), 0.0))
