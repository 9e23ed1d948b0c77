"""Parts of a model that give way to cheaper ones of another kind."""
