"""What every service may use: contracts, delivery, persistence, security and reference data."""
