"""One view a file. A view knows the session and nothing of other views; only the panel knows all of them."""
