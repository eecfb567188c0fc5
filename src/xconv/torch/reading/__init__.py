"""The parts of reading a torch network, one question a file; `xconv.torch.read` walks the program and asks them."""
