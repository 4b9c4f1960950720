"""Training: settings, losses, optimizers, devices, and a loop that resumes exactly where it was stopped."""
