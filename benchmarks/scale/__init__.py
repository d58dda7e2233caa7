"""How evaluation scales: with the batch, with devices, and, on paper, to a million recordings."""
