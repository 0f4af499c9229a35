"""packaging/monitoring: alert rules and the dashboard ask for nothing that the daemon does not tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml  # pre-commit brings it

from tests.acceptance.outside import Outside
from tests.acceptance.test_daemon import running, wait_for
from tests.acceptance.test_secrets import JWT
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "packaging" / "monitoring"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rollcall.rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((MONITORING / "rollcall.dashboard.json").read_text(encoding="utf-8"))


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\brollcall_[a-z_]+", text))


def test_every_metric_that_they_name_is_told_and_the_readme_lists_all(agent: Agent, scim: ScimService) -> None:
    scim.token = JWT  # it tells when it expires
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    outside = Outside(agent, scim)
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        told = {name for name, _labels in outside.metrics()}
        labels = {name: set(dict(labels)) for name, labels in outside.metrics()}

    expressions = [rule["expr"] for rule in rules()]
    expressions += [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    assert [(text, name) for text in expressions for name in names_in(text) - told] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told}
    assert sorted(families - names_in(readme)) == []
    assert sorted(names_in(readme) - families) == []
    assert labels["rollcall_source_lag_seconds"] == {"source"}


def test_every_alert_says_how_grave_it_is_what_happened_and_what_to_do() -> None:
    wanted = {"alert", "expr", "labels", "annotations"}

    assert len(rules()) == len({rule["alert"] for rule in rules()}) >= 6
    for rule in rules():
        assert wanted <= set(rule) <= wanted | {"for"}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_no_two_panels_of_the_dashboard_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
