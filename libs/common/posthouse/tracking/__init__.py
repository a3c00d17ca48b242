"""What opens, clicks and wishes to unsubscribe are known again by: values and decisions, no I/O."""
