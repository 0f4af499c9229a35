"""The service on Windows. Everything here but the names needs pywin32, which is there on Windows only."""
