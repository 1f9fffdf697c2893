"""Compiled inner loops: arrays in, arrays out; no exceptions, no globals that change, no randomness."""
