"""Shared by the whole server: settings, problems, metrics, TLS, addresses, signed checkpoints.

Start with `config.py` and `problem.py`. The lowest folder of the server: it imports only api and service.
"""
