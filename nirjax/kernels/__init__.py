"""Loops over time as one kernel each, for processors and accelerators, equal to a plain scan."""
