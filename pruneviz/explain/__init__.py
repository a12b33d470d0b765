"""What a network looks at, and what becomes of that when filters go."""
