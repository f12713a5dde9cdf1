"""What makes a process a service: its settings, and how its parts are started, watched and stopped."""
