"""The hospital's side: local data, local policy, and the daemon that takes part in runs."""
