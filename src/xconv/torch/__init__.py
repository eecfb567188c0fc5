"""The torch side: write modules, run them, save them."""
