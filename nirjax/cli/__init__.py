"""The command line. One file a command; nothing here imports JAX before a command needs it."""

INTERRUPTED = 130
"""Exit code: Ctrl-C."""
