"""What every process shares: configuration, logs, metrics, TLS identity, channels, retries, reading a log."""
