"""What is made of tokens: principal components as colours, similarity, correspondences, norms."""
