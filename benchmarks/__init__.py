"""What delivery costs: measured against the plainest code that does the same, on a real broker and database."""
