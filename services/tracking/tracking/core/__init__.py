"""What tracking decides: values and functions of values."""
