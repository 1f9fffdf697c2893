"""What all three daemons share: settings, private folders, redacted logs, the admin port, signals, crash points."""
