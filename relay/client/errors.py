"""What can go wrong between a site and the relay."""

from secagg.errors import SecaggError


class RelayError(SecaggError):
    """The relay refused a request, and would refuse it again.

    Attributes:
        type: name of the problem in 04-relay-api, such as ``"slot-taken"``.
        status: HTTP status.
        detail: for people.
        state: the object's state, where a `conflict` says it.
        received: how much of a payload is there, where a `conflict` says it.
    """

    def __init__(
        self, type_: str, status: int, detail: str, *, state: str | None = None, received: int | None = None
    ) -> None:
        self.type = type_
        self.status = status
        self.detail = detail
        self.state = state
        self.received = received
        super().__init__(f"{type_} ({status}): {detail}")


class RelayUnavailableError(SecaggError):
    """Nothing was decided about the request; it may succeed later.

    The relay could not be reached or could not store for as long as the client was to try, the two clocks differ, or
    something on the way (a proxy's page, a changed request) stood in for the relay.
    """
