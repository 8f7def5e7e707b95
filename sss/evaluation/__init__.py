"""Measures of features and layers."""
