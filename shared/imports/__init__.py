"""Taking files in: read as they come, checked row by row, put in once, and gone on with where they were broken off."""
