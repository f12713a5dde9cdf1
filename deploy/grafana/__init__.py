"""What Grafana shows: the dashboard as code, and the files Grafana reads at its start."""
