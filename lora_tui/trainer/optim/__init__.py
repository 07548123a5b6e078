"""Optimizers, guarded updates and learning-rate schedules."""
