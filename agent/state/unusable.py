"""A state that cannot be used: what to do is another thing for each of the errors that SQLite tells apart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.errors import StateProblem

_NOT_OURS = (
    "Run as the service account, or correct the owner and the rights of the file, of those beside it, and of their "
    "directory."
)
_GOES_ON = "What was acknowledged so far is recorded; the next cycle goes on."
_DAMAGED = (
    'It is damaged. Put back the one of the back-up (guide: keeping.md, "Restore the state"); without a back-up see '
    '"Everything is lost" there. Without its state Rollcall does not know whom it has let in: who has left meanwhile '
    "would keep the access."
)
_OF_THE_FILE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_OF_THE_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_REMEDIES = dict.fromkeys(_OF_THE_FILE, _DAMAGED) | {
    sqlite3.SQLITE_FULL: f"Make room on its disk. {_GOES_ON}",
    # Also what comes of a full disk where SQLite makes the index of its journal (SQLITE_IOERR_SHMSIZE).
    sqlite3.SQLITE_IOERR: (
        f"Look whether its disk is full, and make room; or whether it fails, which the system's log tells. {_GOES_ON}"
    ),
    sqlite3.SQLITE_READONLY: _NOT_OURS,
    sqlite3.SQLITE_PERM: _NOT_OURS,
    sqlite3.SQLITE_CANTOPEN: _NOT_OURS,
    sqlite3.SQLITE_BUSY: f"Another program holds the file: find it, and end it. {_GOES_ON}",
    sqlite3.SQLITE_LOCKED: f"Another program holds the file: find it, and end it. {_GOES_ON}",
}
_ELSE = f"Check that the disk is not full and that no other program holds the file. {_GOES_ON}"


def is_damage(error: BaseException | None) -> bool:
    """Tell whether SQLite says that the file is none of its own, or not as it has left it."""
    return _code(error) in _OF_THE_FILE


def unusable(path: Path, error: BaseException | None, copy: Path | None = None) -> StateProblem:
    """Make the error for a state, of SQLite's own. copy: in which it came to light, as damaged as the state is."""
    if copy is not None and _code(error) in _OF_THE_DISK:
        return StateProblem(
            f"A copy of the state {path} cannot be made in {copy.parent}: {error}. Make room there, or name a "
            "directory of another disk in the environment variable TMPDIR (on Windows TEMP)."
        )
    return StateProblem(f"The state {path} cannot be used: {error}. {_REMEDIES.get(_code(error), _ELSE)}")


def _code(error: BaseException | None) -> int:
    """Return the primary error code, which is in the last eight bits (sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0
