"""From files to batches on the device: caches of latents and text, and the loader that reads ahead."""
