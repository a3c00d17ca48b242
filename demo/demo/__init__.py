"""The whole story on one machine, told and checked: `posthouse demo`."""
