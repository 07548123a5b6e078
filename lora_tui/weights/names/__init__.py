"""The names that layers have in LoRA files, one table a family. The only place that knows them."""
