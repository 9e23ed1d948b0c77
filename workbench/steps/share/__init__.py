"""What layers share with each other."""
