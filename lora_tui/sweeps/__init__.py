"""Several runs of one configuration that differ in some settings: what varies, the runs, their table of results."""
