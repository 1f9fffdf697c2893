"""Points at which a test or the demo can kill the process.

`SECAGG_CRASH_AT=name` makes the process kill itself with SIGKILL when it first passes `crashpoint("name")`,
`SECAGG_CRASH_AT=name:3` at the third pass. SIGKILL runs no handlers and flushes or closes nothing: the next start finds
what is on disk at that moment. Without the variable, a crash point does nothing.
"""

import os
import signal
from itertools import count


def _target(setting: str) -> tuple[str, int]:
    name, _, passage = setting.partition(":")
    return name, int(passage or 1)


_NAME, _PASSAGE = _target(os.environ.get("SECAGG_CRASH_AT", ""))
_passages = count(1)


def crashpoint(name: str) -> None:
    """Kill this process if the environment names this point and this pass."""
    if name == _NAME and next(_passages) == _PASSAGE:
        os.kill(os.getpid(), signal.SIGKILL)
