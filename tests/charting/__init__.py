"""The Helm chart, rendered by Helm as a library, and what has to hold for what it renders."""
