"""Measurements. `make bench` prints figures and ratios; nothing is asserted."""
