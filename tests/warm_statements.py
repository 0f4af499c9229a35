"""SQL that is compiled before it is needed: a third of what a command of the tests costs, and the same in each.

An engine keeps what it has compiled, so a daemon does it once; a command ends before it pays.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, create_engine

from agent.state import database
from tests.properties.installation import Installation, installed
from tests.properties.small_world import PEOPLE, Circle, Human, World, WorldConnector
from tests.servers.scim_service import ScimService


def compile_once() -> None:
    """From here on all states that this process and its forks open share what is compiled; much of it is made now."""
    first = create_engine("sqlite://")
    first.connect().close()  # a dialect is complete when it has seen a database
    compiled: dict[Any, Any] = {}

    def sharing(url: str) -> Engine:
        engine = create_engine(url, execution_options={"compiled_cache": compiled})
        engine.dialect = first.dialect  # what is compiled is kept by dialect, as an object
        return engine

    database.create_engine = sharing  # type: ignore[assignment]
    with TemporaryDirectory() as directory, installed(Path(directory)) as installation:
        _live_a_little(installation)


def _live_a_little(installation: Installation) -> None:
    """Have people come and go, so that most of what a cycle asks the state has been asked."""
    world = WorldConnector.world = World()
    installation.begin(ScimService())
    world.humans = {uid: Human(uid, f"{uid}@example.com") for uid in PEOPLE}
    world.circles = {number: Circle(number, f"app-{number}", {*PEOPLE}) for number in ("g0", "g1")}
    world.touch(*world.humans, *world.circles)
    installation.run()
    world.humans["u0"].mail = "another@example.com"
    world.humans.pop("u1")
    world.circles["g0"].members.discard("u2")
    world.circles["g0"].name = "app-renamed"
    world.touch("u0", "u1", "g0")
    installation.run()
    world.circles["g0"].members.clear()
    world.touch("g0")
    installation.run()
    installation.let_time_pass(24 * 90)
    world.circles.pop("g1")
    world.touch("g1")
    installation.run(full=True)
