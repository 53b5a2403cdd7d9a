"""Double descent in a curve of test error over size: threshold, peak and verdict over seeds."""
