"""The training process. Started by the keeper, talks through files in the run folder, is imported by nobody."""
