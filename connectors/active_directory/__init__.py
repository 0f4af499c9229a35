"""The `active-directory` connector."""

from connectors.active_directory.connector import ActiveDirectoryConnector
from connectors.active_directory.settings import ActiveDirectorySettings

__all__ = ["ActiveDirectoryConnector", "ActiveDirectorySettings"]
