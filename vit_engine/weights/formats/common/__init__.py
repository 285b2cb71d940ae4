"""What formats of weight files share."""
