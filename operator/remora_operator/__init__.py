"""The Remora operator: turns ServeApplication resources into pods, routing and targets."""
