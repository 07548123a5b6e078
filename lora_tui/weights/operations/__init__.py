"""What is made of LoRA files: one module an operation, each with ``work(options, report)``; see ``weights.work``."""
