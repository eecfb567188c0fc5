"""Two models side by side: each as a graph in one form, and what the one says that the other does not."""
