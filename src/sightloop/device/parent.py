"""Child processes of the supervisor end with it, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def end_with_parent() -> None:
    """Be killed when the supervisor dies, even in the middle of a call that never returns."""
    # Ctrl-C and service managers signal the whole group; when to end is the supervisor's to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it died before the line above
            os._exit(1)


_PR_SET_PDEATHSIG = 1
