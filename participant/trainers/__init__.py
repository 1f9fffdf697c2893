"""Trainers that ship with the package, as entry points of the group ``secagg.trainers``."""
