"""Pure decisions about organisations, ratings, concerns and their story."""
