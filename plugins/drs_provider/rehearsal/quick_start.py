"""The ``airflow`` command with little garbage collection in its first half minute: somebody waits for its start.

An API server makes a million objects before its first answer, and drops few of them. Python's collector looks at them
again and again meanwhile, for a quarter of the time that the start takes.

    python -m drs_provider.rehearsal.quick_start api-server …
"""

from __future__ import annotations

import gc
import threading

__all__ = ["collect_rarely"]

_RARELY = (100_000, 50, 100)
_STARTING_SECONDS = 30.0


def collect_rarely(seconds: float = _STARTING_SECONDS) -> threading.Timer:
    """Collect garbage rarely from now on, and as before after a while.

    :param seconds: how long.
    :returns: the timer that sets it back, a daemon thread.
    """
    back = threading.Timer(seconds, gc.set_threshold, gc.get_threshold())
    back.daemon = True
    gc.set_threshold(*_RARELY)
    back.start()
    return back


if __name__ == "__main__":
    collect_rarely()

    from airflow.__main__ import main

    main()  # type: ignore[no-untyped-call]
