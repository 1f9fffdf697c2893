"""Processes that do one candidate's work on one core (ours, Flower's or Fed-BioMed's), driven over a pipe.

A candidate runs under the interpreter of its own environment and imports nothing of this project but this folder.
"""
