"""What transformers of several families share: text encoders and a VAE that may lie in files of their own."""
