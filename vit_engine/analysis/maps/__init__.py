"""Maps of attention over a picture's patches: bringing them to a common grid, masking and comparing them."""
