"""What a step learns from: noise schedules, noise, targets and weights. Pure functions on tensors."""
