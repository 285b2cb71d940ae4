"""What a link says, and what the browser has seen of it."""
