"""Health checks: what an application in a guest says of itself, asked through the guest's agent."""
