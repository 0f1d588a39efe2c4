"""SSM with agents that come online late, asynchronous commands and automations, on top of moto's own SSM."""
