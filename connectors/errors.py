"""What can go wrong while reading a source.

SourceError                    the source could not be read; the message names it, the trouble and the remedy
├── SourceUnreachable          no server answered, or none that did could serve
├── CertificateRejected        a server answered, and its certificate could not be verified
├── CredentialsRefused         the bind was refused, and would be by every server
└── ReadInterrupted            the read had begun and could not be finished
    └── CheckpointRefused      it cannot go on from the checkpoint; a FULL read can
        └── ChangesUntold      nor could it from the next one, if changes are found in the same way
"""

from __future__ import annotations


class SourceError(Exception):
    """A source could not be read. `str()` is one sentence or two, meant for the administrator."""


class SourceUnreachable(SourceError):
    """No configured server answered, or none that did could serve."""


class CertificateRejected(SourceError):
    """A server's certificate could not be verified, so nothing was sent to it."""


class CredentialsRefused(SourceError):
    """The server refused the bind, and so would the others, or a further attempt could lock the account."""


class ReadInterrupted(SourceError):
    """A search ended otherwise than with success, or its connection was lost."""


class CheckpointRefused(ReadInterrupted):
    """The source cannot go on from the checkpoint.

    behind: because it knows less than was read before: a replica that lags, or a directory restored from a backup
    """

    def __init__(self, message: str, *, behind: bool = False) -> None:
        super().__init__(message)
        self.behind = behind


class ChangesUntold(CheckpointRefused):
    """Some entries hide from the account what their changes are found by."""
