"""What a map is worth: whether the model needs what it shows, whether it finds an object, whether weights matter."""
