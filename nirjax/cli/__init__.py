"""The command line. One file a command; nothing here imports JAX before a command needs it."""
