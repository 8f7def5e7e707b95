"""What enters and leaves the program: photos, layers, foreground colours, the overview picture."""
