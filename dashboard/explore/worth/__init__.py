"""What the large map is worth: whether the model needs what it shows, and whether it finds an object."""
