"""What the service needs before it is installed: settings it can read, and a state of its own that it can write."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from pwd import getpwnam

from agent.connection import Connection
from agent.errors import UsageProblem
from agent.service.rights import files_of, unreadable
from agent.service.unit import Places, Unit, hidden_place, own_state


def need_readable_settings(connection: Connection, configuration: Path, account: str, places: Places) -> None:
    """See that the account can read what the settings name. Raises UsageProblem.

    Secrets that no setting names as a file systemd hands over.
    """
    files = files_of(connection, configuration)
    # A link leads out of the place that it is in.
    hidden = [
        f"{path} is below {place}"
        for path in files
        if (place := hidden_place(path, places) or hidden_place(path.resolve(), places))
    ]
    if hidden:
        raise UsageProblem(
            f"Nothing was installed: {', '.join(hidden)}, where the service sees nothing. Move it, to "
            f"{places.settings} for example, and name its new place in {configuration}."
        )
    troubles = unreadable(files, getpwnam(account))
    if troubles:
        lines = [f"the account {account} cannot read {path}: {why}." for path, why in troubles.items()]
        raise UsageProblem(
            "Nothing was installed: " + " ".join(lines) + f" Let it, for example by chgrp {account} FILE and "
            "chmod 0640 FILE; it also has to get through the directories above."
        )


def need_state_directory(directory: Path, unit: Unit, own: Path, opened: Sequence[Path], account: str) -> None:
    """See that the unit lets the service write there (ProtectSystem=strict). Raises UsageProblem.

    own: the StateDirectory= of the unit; opened: its ReadWritePaths=
    """
    if not any(directory.is_relative_to(place) for place in (own, *opened)):
        raise UsageProblem(
            f"Nothing was installed: state_dir is {directory}, and the service may write only below {own}. Leave "
            f"state_dir out, or open the place: systemctl edit {unit.name}, with the two lines [Service] and "
            f"ReadWritePaths={directory}; the directory has to belong to the account {account}."
        )


def need_state_of_its_own(directory: Path, configuration: Path, places: Places) -> None:
    """See that no other configuration beside this one has the same state. Raises UsageProblem."""
    for other in sorted(configuration.parent.glob("*.toml")):
        if other.name != configuration.name and directory == state_directory_in(other, places):
            raise UsageProblem(
                f"Nothing was installed: {directory} is the state of {other}, too, and two services cannot share one. "
                f"Leave state_dir out of {configuration}."
            )


def state_directory_in(configuration: Path, places: Places) -> Path | None:
    """Return where the state of a configuration file is, as it says; None where it cannot be understood."""
    try:
        tables = tomllib.loads(configuration.read_text(encoding="utf-8"))
        return configuration.parent / str(tables["agent"]["state_dir"])
    except (LookupError, TypeError):
        return own_state(configuration, places)
    except (OSError, ValueError):
        return None  # what is wrong with it is told to whoever starts it
