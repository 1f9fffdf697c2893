"""Where the passphrase of the identity key comes from: a setting, a file, a command, or the person at the terminal.

A file is what a service manager provides (`LoadCredential` of systemd, a secret of Kubernetes), a command is how a
keyring is asked, such as `["secret-tool", "lookup", "service", "secagg"]`.
"""

import subprocess
import sys
from pathlib import Path

import typer

from participant.settings.config import ParticipantConfig
from secagg.errors import ParameterError

_COMMAND_S = 60


class PassphraseError(ParameterError):
    """The passphrase cannot be had as the settings say; never holds any of it."""


def passphrase(settings: ParticipantConfig, *, new: bool = False) -> str:
    """Return the identity's passphrase; it is asked for where nothing holds it, twice for a new one.

    Raises:
        PassphraseError: the file is open to everybody, or cannot be read; the command failed.
    """
    # SECAGG_PARTICIPANT_PASSPHRASE_FILE is both settings at once: who may read the file is looked at all the same.
    if settings.passphrase_file is not None:
        kept = _of_file(settings.passphrase_file)
        return settings.passphrase.get_secret_value() or kept
    if given := settings.passphrase.get_secret_value():
        return given
    if settings.passphrase_command:
        return _of_command(settings.passphrase_command)
    if sys.stdin.isatty():
        return str(typer.prompt("passphrase of the identity", hide_input=True, confirmation_prompt=new))
    return ""


def _of_file(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o007:
            raise PassphraseError(f"{path} is open to every user of this machine; run: chmod o= {path}")
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise PassphraseError(f"the file of the passphrase: {error.strerror}: {path}") from None


def _of_command(words: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the site's own setting, run without a shell
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PassphraseError(f"the command for the passphrase, {words[0]}, failed: {type(error).__name__}") from None
    return done.stdout.rstrip("\n")
