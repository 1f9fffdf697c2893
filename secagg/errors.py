"""Every error of the core, named by who is to blame.

Spec: 03-checks. Verification raises and never returns a boolean. Contract, held by fuzzing: any byte string gives a
new state or a `ProtocolError`, nothing else, and a refused frame leaves the state as it was. No message carries
secret bytes.

    SecaggError
    ├ ParameterError(ValueError)   our caller gave wrong values
    ├ HeadroomError(ValueError)    a range that the ring cannot hold; refused before anything is masked
    ├ StateError                   our caller used a machine out of order
    ├ ProtocolError(check)         a received message is wrong; carries the check's ID
    │  ├ DecodeError                          these bytes are no message
    │  ├ UnexpectedMessageError               a legal message in the wrong state
    │  ├ FaultyParticipantError(party)        the site of this index
    │  ├ FaultyCoordinatorError
    │  └ FaultyRelayError
    └ AbortError                   nobody is at fault; the run cannot go on
       ├ NotEnoughParticipantsError
       └ DeadlineError
"""


class SecaggError(Exception):
    """Base of all errors of this library."""


class ParameterError(SecaggError, ValueError):
    """The caller passed a value that is not allowed; nothing was changed."""


class HeadroomError(SecaggError, ValueError):
    """The sum of so many such values does not fit into the ring; nothing was masked."""


class StateError(SecaggError):
    """The caller used a state machine out of order, for example a local event in a state that does not take it."""


class ProtocolError(SecaggError):
    """A received message breaks a rule of the specification.

    Attributes:
        check: ID of the rule in `specs/03-checks.md`, such as ``"V-0302"``.
        party: index of the site that is to blame, or None.
    """

    def __init__(self, check: str, detail: str = "", *, party: int | None = None) -> None:
        self.check = check
        self.detail = detail
        self.party = party
        who = f" [site {party}]" if party is not None else ""
        super().__init__(f"{check}{who}{': ' if detail else ''}{detail}")


class DecodeError(ProtocolError):
    """The bytes are no message of the expected kind. Says where and what was expected, never the bytes."""


class UnexpectedMessageError(ProtocolError):
    """A well-formed message that this state does not take."""


class FaultyParticipantError(ProtocolError):
    """A site broke the protocol, and what it signed shows so. Raised by the coordinator's code.

    At the coordinator the frame's signature was verified first, so the fault is not the network's.
    """


class FaultyCoordinatorError(ProtocolError):
    """The coordinator broke the protocol. Raised by a participant's code."""


class FaultyRelayError(ProtocolError):
    """What arrived is not what its author signed, or it belongs elsewhere.

    The relay, or the network before it, changed, misdirected or replaced a frame. It proves nothing against the party
    that is named as the sender.
    """


class AbortError(SecaggError):
    """The run cannot go on, and nobody is at fault."""


class NotEnoughParticipantsError(AbortError):
    """Fewer sites are left than the threshold or the floor asks for."""


class DeadlineError(AbortError):
    """A deadline that the manifest or the round names has passed."""
