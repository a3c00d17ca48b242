"""What HTTP APIs share: answers, problems, and how they are described."""
