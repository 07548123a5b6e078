"""Configurations of other programs: read with the fate of every key told, and written. Knows no torch, no screen."""
