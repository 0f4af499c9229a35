"""Cron lines by which no cycle would ever run, as every command meets them."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService


@pytest.mark.parametrize("line", ["0 6 31 2,4,6 *", "0 0 30 2 *"])
def test_a_line_that_never_comes_to_pass_is_refused_with_what_to_correct(
    agent: Agent, scim: ScimService, line: str
) -> None:
    agent.configure(scim, schedule={"cron": line})

    for command in ("run", "check", "sync"):
        done = agent.run(command)

        assert done.code == 2
        assert f'agent.toml: schedule.cron: "{line}" names no day that ever comes' in done.err
        assert "Correct the day and the month" in done.err
