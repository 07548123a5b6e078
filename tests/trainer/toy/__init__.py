"""A family of its own, far from SD1.5: velocity, packed latents of 16 channels, two encoders with a pooled vector,
sizes and guidance as conditioning. With it come an adapter, an optimizer that keeps numbers in its groups, a schedule,
an objective, a loss and a sampler: all that the trainer's tables can be given, in files of their own.
"""
