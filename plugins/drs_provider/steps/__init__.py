"""The kinds of steps of a plan, a folder each: what stands in the DAG, what it does, and the event that it leaves."""
