"""What there is on this machine: memory."""
