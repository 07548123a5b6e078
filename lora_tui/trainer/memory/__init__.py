"""What a run does when its memory does not suffice: a ladder of ways to need less, each with the same result."""
