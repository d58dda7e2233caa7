"""Fused loops over time for accelerators, each with a plain twin that it must equal."""
