"""A look at this machine: what is there, what is missing, and what to do about each. Imports no torch."""
