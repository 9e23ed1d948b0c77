"""Training: recovery, distillation, and what all that train share."""
