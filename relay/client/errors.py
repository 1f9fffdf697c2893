"""Errors of requests from a site to the relay."""

from secagg.errors import SecaggError


class RelayError(SecaggError):
    """The relay refused a request, and would refuse a retry as well.

    Attributes:
        type: name of the problem in 04-relay-api, such as ``"slot-taken"``.
        status: HTTP status.
        detail: explanation for people.
        state: the object's state, if a `conflict` gives it.
        received: number of payload bytes stored so far, if a `conflict` gives it.
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
    """The outcome of a request is unknown; a retry may succeed.

    The relay could not be reached or could not store the request in the time allowed, the two clocks differ, or
    something on the way interfered (a proxy's page, a modified request).
    """
