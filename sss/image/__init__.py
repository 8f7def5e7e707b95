"""Photos: reading them, and every resize."""
