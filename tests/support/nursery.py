"""Sites that are killed again and again, and restart at once where they left off.

    python -m tests.support.nursery SEED SITES.json

One process has loaded everything and forks a daemon for each site, so that a start takes milliseconds and many lives
fit into a minute. Each life ends by SIGKILL: at the nth passage of a labelled point, or after some time. Each death
prints a line of JSON with its cause on stdout; SIGTERM ends all.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from random import Random  # noqa: TID251  # moments to kill at, and no secrets

from participant.daemon.process import serve
from participant.settings.config import ParticipantConfig
from participant.statistics.evaluation.evaluate import evaluate  # noqa: F401  # what a daemon would load later
from relay.party import keystore
from relay.service import crashpoints
from secagg.identity import Identity

POINTS = (
    "journal-before-commit", "journal-after-commit", "journal-anchored", "outbox-sent",
    *(f"round-{round_}-{what}" for round_ in range(1, 3) for what in ("opened", "uploaded", "confirmed")),
)  # fmt: skip


class Ward:
    """A site and its current process."""

    def __init__(self, config: ParticipantConfig, identity: Identity, log: Path) -> None:
        self.config, self.identity, self.log = config, identity, log
        self.child, self.until, self.plan = 0, 0.0, ""

    def start(self, dice: Random) -> None:
        """Start a process, and decide how it will end. Some lives are long, so that the work progresses."""
        point = dice.choice(POINTS) if dice.random() < 0.4 else ""
        passage = dice.randint(1, 6) if point.startswith(("journal", "outbox")) else 1
        lasts = dice.choice((0.2, 0.5, 1.0, 2.0, 8.0)) * dice.uniform(0.5, 1.5)
        self.plan = f"{point}:{passage}" if point else "time"
        self.until = time.monotonic() + (20.0 if point else lasts)
        self.child = os.fork()
        if self.child == 0:
            self._live(point, passage)

    def _live(self, point: str, passage: int) -> None:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
            crashpoints._NAME, crashpoints._PASSAGE = point, passage
            asyncio.run(serve(self.config, self.identity, announce=False))
            code = 0
        except BaseException as error:  # noqa: BLE001  # a fault of a life must not go on as the nursery
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)


def main(seed: int, sites: Path) -> None:
    wards = []
    for one in json.loads(sites.read_text()):
        config = ParticipantConfig(**one["settings"])
        identity = keystore.unlock(config.identity, one["settings"]["passphrase"])
        wards.append(Ward(config, identity, Path(one["log"])))
    dice, stopping = Random(seed), []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while not stopping:
        for ward in wards:
            if not ward.child:
                ward.start(dice)
            elif time.monotonic() > ward.until:
                ward.plan = "time"
                os.kill(ward.child, signal.SIGKILL)
                ward.until = float("inf")
            ended, status = os.waitpid(ward.child, os.WNOHANG)
            if ended:
                said = {
                    "by": ward.plan,
                    "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                    "status": status,
                }
                sys.stdout.write(json.dumps(said) + "\n")
                sys.stdout.flush()
                ward.child = 0
        time.sleep(0.005)
    for ward in wards:
        if ward.child:
            os.kill(ward.child, signal.SIGKILL)
            os.waitpid(ward.child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
