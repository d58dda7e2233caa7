"""Networks from snnTorch, carried to other frameworks and back. `python -m benchmarks.transfer.run` makes the table."""
