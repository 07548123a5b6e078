"""What goes wrong with a run while nobody looks: noticed from its events, told once, carried to where people are."""
