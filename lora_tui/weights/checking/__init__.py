"""Whether a LoRA file is sound, and who reads it: what is wrong with it, each with the remedy."""
