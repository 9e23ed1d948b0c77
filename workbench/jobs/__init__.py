"""Work on threads: progress, cancelling, and whose turn it is on the cores."""
