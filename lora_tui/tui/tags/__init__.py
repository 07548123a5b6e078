"""The tag editor without its widgets: what is open and chosen, its rows, its completions, its keys."""
