"""Scores of embeddings, regions, boundaries, instances and mattes; stands on its own."""
