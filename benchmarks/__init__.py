"""What xconv must show, measured: every keras.applications network, conversion side by side, forward speed."""
