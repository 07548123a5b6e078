"""Makes the pictures of the documentation from real data and real runs: ``python -m tools.pictures --help``."""
