"""What a step learns: noise, timesteps, targets, weights and losses. Pure functions on tensors."""
