"""Whose files the state is made of: what root is asked to do with it is done as the account that owns it.

Else root would leave files that the service cannot write: a database's journal, a lock, a line of the audit trail.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import structlog

from agent.errors import StateProblem
from agent.operating_system import account_name

log = structlog.get_logger()


def act_as_owner(state_directory: Path) -> None:
    """Become the account that owns the state, for good, if this is root and that is another one.

    Settings and secrets have to be read by then: the account may be allowed less. A directory that is not there yet is
    made by whoever comes first. Raises StateProblem when the operating system does not let it.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return
    try:
        there = state_directory.stat()
    except OSError:
        return
    if there.st_uid == 0:
        return
    os.environ.setdefault("LOGNAME", account_name())  # an approval names who gave it
    name, home = _become(there.st_uid, there.st_gid, state_directory)
    os.environ["HOME"] = home
    # A warning, because most commands show nothing less, and root may wonder what it is not allowed any more.
    log.warning("going on as the account that the state belongs to", account=name, state=str(state_directory))


if sys.platform != "win32":
    import pwd

    def _become(user: int, group: int, state_directory: Path) -> tuple[str, str]:
        """Give up root; return the account's name and its home."""
        try:
            account: pwd.struct_passwd | None = pwd.getpwuid(user)
        except KeyError:  # a number without a name, as in containers
            account = None
        try:
            if account is None:
                os.setgroups([])
                os.setgid(group)
            else:
                os.initgroups(account.pw_name, account.pw_gid)
                os.setgid(account.pw_gid)
            os.setuid(user)
        except OSError as error:
            raise StateProblem(
                f"The state directory {state_directory} belongs to the account {account.pw_name if account else user}, "
                f"and this command may not become it: {error.strerror}. Run it as that account."
            ) from error
        return (account.pw_name, account.pw_dir) if account else (str(user), str(state_directory))
