"""The directory mirror: what the sources hold, and which entry every name in a group refers to."""
