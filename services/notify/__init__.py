"""Notify: tells everybody who must hear of it what happened to a provider, by e-mail and in a feed."""
