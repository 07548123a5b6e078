"""What can be wrong in a configuration, one file a subject; each rule yields findings and reads nothing else."""
