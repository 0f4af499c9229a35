"""Fixtures of the acceptance tests."""

from __future__ import annotations

import pytest

from tests.acceptance.company import Company
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService


@pytest.fixture
def company(agent: Agent, scim: ScimService) -> Company:
    """Three LDIF sources, and nobody who is declared to be one person."""
    return Company(agent, scim)
