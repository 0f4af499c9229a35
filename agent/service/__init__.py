"""The agent as a system service: what it tells the service manager, on Linux and on Windows."""
