"""Recovery plans as other systems have them: what they can hold of a plan, and a list of what they cannot."""
