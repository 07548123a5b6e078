"""Records: what a person notes of runs, how runs are found, compared, handed on, and what of them may go."""
