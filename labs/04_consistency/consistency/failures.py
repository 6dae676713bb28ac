"""How the client's own operations fail. Every error says through `definite` what its caller may believe."""

from __future__ import annotations

from labkit.errors import LabError


class AppendFailed(LabError):
    """The record was not acknowledged. `__cause__` is the error of the last attempt.

    definite: no append request for the record ever left this client, so the record is nowhere and never
    will be. Otherwise it may be in the file, whole, once or several times, on all replicas or on some.
    """

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


class WriteFailed(LabError):
    """The write was not acknowledged as a whole. `__cause__` is the error of the last attempt.

    definite: no write request for any piece of it ever left this client. Otherwise any piece may be there, on all
    replicas or on some.
    """

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


class ReadFailed(LabError):
    """No up-to-date replica could be read, so there is no answer rather than a part of one.

    Reading changes nothing, hence definite.
    """

    definite = True


class BadReply(LabError):
    """A server answered with something other than docs/protocol.md says. Asking again will not help."""
