"""The Keras side: read live models and files, write models and files."""
