"""Images: finding them, their facts, buckets, the plan of batches, and loading them for training."""
