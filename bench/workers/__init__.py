"""Processes that do one candidate's work on one core: ours, Flower's and Fed-BioMed's, asked over a pipe.

A candidate runs under the interpreter of its own environment and imports nothing else of this project than this folder.
"""
