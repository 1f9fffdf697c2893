"""Gets the identity key's passphrase from a setting, a file, a command, or a prompt on the terminal.

A service manager provides a file (systemd's `LoadCredential`, a Kubernetes secret); a command queries a keyring, for
example `["secret-tool", "lookup", "service", "secagg"]`.
"""

import subprocess
import sys
from pathlib import Path

import typer

from participant.settings.config import ParticipantConfig
from relay.service.system_errors import in_words
from secagg.errors import ParameterError

_COMMAND_S = 60


class PassphraseError(ParameterError):
    """The settings do not yield the passphrase; the message contains no part of it."""


def passphrase(settings: ParticipantConfig, *, new: bool = False) -> str:
    """Return the identity's passphrase. Prompts if no setting provides it, twice for a new one.

    Raises:
        PassphraseError: there is none, the file is readable by everybody or cannot be read, or the command failed.
    """
    # SECAGG_PARTICIPANT_PASSPHRASE_FILE fills both settings; check the file's permissions all the same.
    if settings.passphrase_file is not None:
        kept = _of_file(settings.passphrase_file)
        return settings.passphrase.get_secret_value() or kept
    if given := settings.passphrase.get_secret_value():
        return given
    if settings.passphrase_command:
        return _of_command(settings.passphrase_command)
    if sys.stdin.isatty():
        return str(typer.prompt("passphrase of the identity", hide_input=True, confirmation_prompt=new))
    raise PassphraseError(
        "no passphrase is given: set passphrase_file, for example with SECAGG_PARTICIPANT_PASSPHRASE_FILE, "
        "or type the command on a terminal, which asks for it"
    )


def _of_file(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o007:
            raise PassphraseError(f"every user of this machine can access {path}; run: chmod o= {path}")
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise PassphraseError(f"passphrase_file: {in_words(error)}") from None


def _of_command(words: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the site's own setting, run without a shell
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PassphraseError(f"the passphrase command {words[0]} failed: {type(error).__name__}") from None
    return done.stdout.rstrip("\n")
