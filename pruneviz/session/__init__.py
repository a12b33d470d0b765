"""What a person chose and decided, and the plan that follows; no screen."""
