"""What the intelligence service takes and what it answers: a module for each subject."""
