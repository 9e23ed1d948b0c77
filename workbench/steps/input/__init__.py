"""What a model is fed: fewer pixels, colours, bits or tokens."""
