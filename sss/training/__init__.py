"""Training of pixel embeddings: losses, sampling, the loop."""
