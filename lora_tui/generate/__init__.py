"""Pictures of a base model and any LoRA files, into a plain folder: what is asked for, and the task that draws it."""
