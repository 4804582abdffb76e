"""Alerts: rules over what was measured, one row an episode in the lake, delivered by Apprise."""
