"""What is made of a trace: maps, methods, comparisons, similarity and rankings of heads."""
