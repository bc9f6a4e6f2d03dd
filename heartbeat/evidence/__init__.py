"""What is kept of a failed guest for people to see: taken at the moment of the verdict, before anybody recovers it."""
