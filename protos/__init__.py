"""What travels between the parties: messages, services and the table of problems."""
