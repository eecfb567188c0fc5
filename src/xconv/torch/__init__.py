"""The torch side: capture networks and read them, write modules, run them, save them."""
