"""What makes up for damage without training, or prepares for it."""
