"""The tables of the visits stage. Its SQL is here and nowhere else."""
