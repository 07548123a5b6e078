"""Drawing images from a base model and an adapter: one renderer for samples, grids and single images."""
