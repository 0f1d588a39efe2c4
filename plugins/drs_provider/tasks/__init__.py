"""What the tasks of every step share: the light task, its work, its gates, its identity in AWS, its patience."""
