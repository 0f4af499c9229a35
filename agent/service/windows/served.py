"""What the service does, once Windows knows that it is coming."""

from __future__ import annotations

import structlog

from agent.connection import Connection, connect, secrets_of
from agent.daemon import Daemon
from agent.errors import RollcallError
from agent.observe.logs import configure_logs
from agent.service.supervisor import Supervisor
from agent.service.windows.names import Service

log = structlog.get_logger()


def serve(service: Service, supervisor: Supervisor) -> None:
    """Run the daemon until it is asked to stop. What ends it otherwise is logged, and raised."""
    configure_logs("json", "info")

    def load() -> Connection:
        connection = connect(service.configuration)
        agent = connection.settings.agent
        configure_logs(agent.log_format, agent.log_level, secrets_of(connection))
        return connection

    try:
        Daemon(load, supervisor).run()
    except RollcallError as error:
        log.error("the service cannot run", reason=str(error))  # noqa: TRY400 - the sentence says it all
        raise
    except BaseException:
        log.exception("the service ended with a defect in Rollcall; please report it")
        raise
