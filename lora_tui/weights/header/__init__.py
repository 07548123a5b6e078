"""What a weights file says of itself, read from its first bytes without torch and without its tensors."""
