"""What one run of a plan is: its parameters, its chain of custody, its watch, and the words that people get of it."""
