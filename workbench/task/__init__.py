"""What a model is for: samples, how they are judged, and what is learnt from them."""
