"""What a service takes in: fetched, put in order, applied, and held, parked or dead-lettered where it must."""
