"""The same model behind other people's servers; each file runs in an environment of its own."""
