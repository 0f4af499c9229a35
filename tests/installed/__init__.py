"""The packages, installed as an administrator installs them: below a real systemd, in a container."""
