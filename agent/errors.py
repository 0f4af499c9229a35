"""Why a command ends early.

    RollcallError                     str() says what happened, to which object, and what to do next
    ├── UsageProblem                  exit 2: wrong settings, missing file, unknown connector
    │   └── AnotherAgentRuns          exit 2: the state is in use by another process
    ├── StateProblem                  exit 2: the state cannot be opened
    │   └── StateOfNewerVersion       exit 2: a newer version of this program has written it
    └── UpstreamError                 exit 5: the upstream as a whole
        ├── UpstreamUnreachable       no connection, or (NotScim) it does not speak SCIM
        └── UpstreamRefusedToken      401 or 403

A source that could not be read is not an exception here but an outcome of the cycle (exit 4), because the other
sources go on. The same holds for rejected objects (exit 1) and guards (exit 3). Connectors have their own tree,
in connectors/errors.py, because they know nothing of the agent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    REJECTED_OBJECTS = 1
    USAGE = 2
    GUARD = 3
    SOURCE_INCOMPLETE = 4
    UPSTREAM = 5
    LATER = 75  # for systemd alone, from the daemon; EX_TEMPFAIL of sysexits.h


class RollcallError(Exception):
    """The root of the tree above."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class UsageProblem(RollcallError):
    """The settings or the command line cannot be used as they are."""


class AnotherAgentRuns(UsageProblem):
    """Another process writes with this state; two writers would undo each other's work."""


class StateProblem(RollcallError):
    """The state database cannot be used."""


class StateOfNewerVersion(StateProblem):
    """This program cannot read it, and never will."""


class UpstreamError(RollcallError):
    """The upstream as a whole, not one object, is in trouble."""

    exit_code = ExitCode.UPSTREAM


class UpstreamUnreachable(UpstreamError):
    """The upstream does not answer, or what answers is not a SCIM service."""


class NotScim(UpstreamUnreachable):
    """What answers is not a SCIM service."""


class UpstreamRefusedToken(UpstreamError):
    """The upstream answered 401 or 403."""
