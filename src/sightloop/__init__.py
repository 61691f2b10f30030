"""Sightloop keeps vision models right after they ship."""
