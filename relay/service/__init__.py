"""Shared by all three daemons: settings, private folders, redacted logs, the admin port, signals, crash points."""
