"""What goes on in a run told to other programs: event files for TensorBoard, Weights & Biases."""
