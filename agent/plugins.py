"""Finding connectors. A broken plugin is reported by its name and never takes the agent down."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from agent.errors import RollcallError, UsageProblem
from agent.settings_problems import describe_problems
from agent.settings_secrets import resolve_secret, told_of_encrypted
from connectors.base import Connector, SourceSettings, Wanted

GROUP = "rollcall.connectors"


@dataclass(frozen=True, slots=True)
class Source:
    """One configured source: its checked settings and the connector class that reads it."""

    settings: SourceSettings
    connector: type[Connector]

    @property
    def name(self) -> str:
        """The source's name in settings, logs and messages."""
        return self.settings.name

    def open(self) -> Connector:
        """Make a connector for one cycle; the caller closes it."""
        return self.connector(self.settings)

    def fingerprint(self, wanted: Wanted) -> str:
        """Return the connector's fingerprint; of one that cannot tell, a text that no other has."""
        try:
            with closing(self.open()) as connector:
                return connector.fingerprint(wanted)
        except RollcallError:
            raise
        except Exception as error:  # noqa: BLE001 - it is somebody else's program
            return f"cannot be told: {type(error).__name__}"

    def failed(self, error: Exception) -> str:
        """Say that the connector, which must not, has raised."""
        return (
            f"source {self.name}: the connector stopped with {type(error).__name__}: {error}. Nothing was taken over; "
            f"see the log, and report this to the author of the connector {self.settings.connector}."
        )


def sources_of(tables: tuple[Mapping[str, Any], ...], configuration: Path) -> tuple[Source, ...]:
    """Check every [[sources]] table with its connector's settings class.

    Raises UsageProblem that names the source, the key and the remedy.
    """
    sources: list[Source] = []
    where = str(configuration)
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not name:
            raise UsageProblem(f'{where}: source number {number} has no name. Add a line like name = "corp".')
        if any(source.name == name for source in sources):
            raise UsageProblem(f'{where}: two sources are named "{name}". Give each its own name.')
        sources.append(_source(name, dict(table), f"{where}: sources.{name}", configuration))
    return tuple(sources)


def secrets_in(table: Mapping[str, Any], configuration: Path) -> tuple[str, ...]:
    """Return the keys of the secrets that a [[sources]] table may have, by its connector. Raises UsageProblem."""
    where = f"{configuration}: sources.{table.get('name')}"
    return _secrets(_connector(str(table.get("connector", "")), where).settings_type)


def _secrets(model: type[SourceSettings]) -> tuple[str, ...]:
    return tuple(
        field for field, information in model.model_fields.items() if "SecretStr" in str(information.annotation)
    )


def _source(name: str, table: dict[str, Any], where: str, configuration: Path) -> Source:
    connector = _connector(str(table.get("connector", "")), where)
    model = connector.settings_type
    try:
        for field in _secrets(model):
            if not isinstance(table.get(field, ""), str):
                raise UsageProblem(f"{where}.{field}: write a text in quotes, or put it into {field}_file.")
            file = table.get(f"{field}_file")
            secret = resolve_secret(
                SecretStr(table[field]) if field in table else None,
                Path(str(file)) if file else None,
                f"{name}.{field}",
                f"{where}.{field}_file",
                configuration,
            )
            if secret is not None:
                table[field] = secret
        settings = model(**table)
    except ValidationError as error:
        encrypted = [
            told_of_encrypted(f"{name}.{field}", configuration) for field in _secrets(model) if field not in table
        ]
        lines = [describe_problems(error, where, model), *(f"{where}: {told}" for told in encrypted if told)]
        raise UsageProblem("\n".join(lines)) from None
    return Source(settings, connector)


def _connector(name: str, where: str) -> type[Connector]:
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        raise UsageProblem(
            f'{where}: there is no connector "{name}". Installed: {", ".join(sorted(known))}. Correct the line '
            "connector = …, or install the plugin that brings it."
        )
    point = known[name]
    try:
        connector: type[Connector] = point.load()
        connector.settings_type  # noqa: B018 - the cheapest proof that it is a connector
    except Exception as error:
        raise UsageProblem(
            f'{where}: the connector "{name}" ({point.value}) cannot be loaded: {type(error).__name__}: {error}. '
            "Reinstall or update the package that brings it."
        ) from error
    return connector
