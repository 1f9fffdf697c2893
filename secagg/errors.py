"""Every error of the core, named after who is to blame.

Spec: 03-checks. Verification raises and never returns a boolean. Fuzzing enforces the contract: any byte string gives
either a new state or a `ProtocolError`, and a refused frame leaves the state unchanged. No message contains secret
bytes.

    SecaggError
    ├ ParameterError(ValueError)   the caller passed wrong values
    ├ HeadroomError(ValueError)    the ring cannot hold the range; refused before anything is masked
    ├ StateError                   the caller used a machine out of order
    ├ ProtocolError(check)         a received message is wrong; carries the check ID
    │  ├ DecodeError                          the bytes are not a message
    │  ├ UnexpectedMessageError               a valid message in the wrong state
    │  ├ FaultyParticipantError(party)        the site with this index
    │  ├ FaultyCoordinatorError
    │  └ FaultyRelayError
    └ AbortError                   nobody is at fault; the run cannot continue
       ├ NotEnoughParticipantsError
       └ DeadlineError
"""


class SecaggError(Exception):
    """Base of all errors of this library."""


class ParameterError(SecaggError, ValueError):
    """The caller passed an invalid value; nothing was changed."""


class HeadroomError(SecaggError, ValueError):
    """The sum of this many such values does not fit into the ring; nothing was masked."""


class StateError(SecaggError):
    """The caller used a state machine out of order, for example with a local event that the state does not accept."""


class ProtocolError(SecaggError):
    """A received message violates a rule of the specification.

    Attributes:
        check: ID of the rule in `specs/03-checks.md`, such as ``"V-0302"``.
        party: index of the site to blame, or None.
    """

    def __init__(self, check: str, detail: str = "", *, party: int | None = None) -> None:
        self.check = check
        self.detail = detail
        self.party = party
        who = f" [site {party}]" if party is not None else ""
        super().__init__(f"{check}{who}{': ' if detail else ''}{detail}")


class DecodeError(ProtocolError):
    """The bytes are not a message of the expected kind. States position and expectation, never the bytes."""


class UnexpectedMessageError(ProtocolError):
    """A well-formed message that this state does not accept."""


class FaultyParticipantError(ProtocolError):
    """A site violated the protocol, as its own signature shows. Raised by the coordinator's code.

    The coordinator verifies the frame's signature first, so the network cannot be at fault.
    """


class FaultyCoordinatorError(ProtocolError):
    """The coordinator violated the protocol. Raised by a participant's code."""


class FaultyRelayError(ProtocolError):
    """A frame is not what its author signed, or belongs elsewhere.

    The relay, or the network in front of it, changed, misdirected or replaced it. This proves nothing against the
    named sender.
    """


class AbortError(SecaggError):
    """The run cannot continue, and nobody is at fault."""


class NotEnoughParticipantsError(AbortError):
    """Fewer sites are left than the threshold or the floor requires."""


class DeadlineError(AbortError):
    """A deadline set by the manifest or the round has passed."""
