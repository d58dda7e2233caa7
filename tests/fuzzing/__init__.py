"""Fuzzing of `nirjax.read`: mutants of real and made files, each read in a watched process.

    python -m fuzzing --seconds 60 --seed 1          (from the folder `tests`; `make fuzz` does it)

A mutant is a pure function of the campaign's seed and its number, so a campaign that was stopped goes on where it was,
and any mutant can be made again.
"""
