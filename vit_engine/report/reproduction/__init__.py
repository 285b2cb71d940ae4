"""Reading a bundle back, and whether what is recomputed matches it."""
