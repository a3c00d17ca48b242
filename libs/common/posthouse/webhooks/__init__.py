"""What customers are told of events over HTTP, in which form, and how it is signed: without I/O."""
