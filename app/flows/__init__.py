"""Flows: what `agent-config.yml` declares, and the runs that come of it."""
