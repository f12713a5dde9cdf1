"""Intelligence: the register of organisations, what is heard about them, and the concerns it raises."""
