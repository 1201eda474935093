"""Load on a running deployment at a fixed rate of arrivals, and the gate that says whether it held."""
