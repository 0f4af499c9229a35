"""What the agent tells about itself: logs, progress, the audit trail."""
