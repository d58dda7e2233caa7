"""Side-by-side runs of nirjax, its peers and the limit that the products set. `python benchmarks/run.py` runs them."""
