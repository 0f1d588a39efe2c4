"""What one run asks of others of its DAG: one channel, whichever kind of request."""
