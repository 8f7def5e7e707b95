"""Measures of features, regions, boundaries, instances and mattes."""
