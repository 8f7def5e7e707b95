"""Factors of sparse symmetric matrices, by the name of their method."""
