"""Commands of `posthouse`: each module is imported when its command is called."""
