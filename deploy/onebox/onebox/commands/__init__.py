"""One module a command of `posthouse`, imported when it is called."""
