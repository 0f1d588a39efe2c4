"""What the tasks of a run wait for at this moment, for whoever watches it: a file for each task, beside the report."""
