"""Protocol 1: prekeyed secure aggregation with double masks and vaults, as pure functions over frozen states.

Start with `table.py`, which names every state and what it accepts; then `participant_setup.py` and
`participant_round.py` beside `coordinator_setup.py` and `coordinator_round.py`, in the order of `secagg/messages.py`.
Spec: 02-protocol. Paper: Bonawitz et al. 2017, figure 4, with a whole epoch's keys and shares sent ahead.
"""
